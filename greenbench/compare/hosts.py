"""Hosts: what is answered for each one, since energies of several are never averaged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from greenbench.errors import GreenbenchError, NotComparableError, UnknownNameError

Row = Mapping[str, Any]


UNKNOWN = "unknown host"


class Answered(NamedTuple):
    """What the hosts of a table answer.

    Attributes
    ----------
    answers : tuple
        Those of each host, one host after another.
    notes : tuple of str
        Why some have none.
    """

    answers: tuple[Any, ...]
    notes: tuple[str, ...] = ()


def by_host(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return rows by the fingerprint of their host; `UNKNOWN` where a row has none."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row.get("host") or UNKNOWN), []).append(row)
    return found


def names_of(rows: Iterable[Row]) -> dict[str, str]:
    """Return what hosts are called: by what trains there, and their fingerprint.

    Parameters
    ----------
    rows : iterable of mapping
        Results, which tell their ``cpu`` and ``device``.
    """
    return {host: _name(host, members) for host, members in by_host(rows).items()}


def on_host(host: str | None, words: str) -> str:
    """Return an answer in words, and of which host it is; None where there is one only."""
    return f"On {host}: {words}" if host else words


def host_column(host: str | None) -> dict[str, str]:
    """Return the column that tells rows of several hosts apart; none where there is one only."""
    return {"host": host} if host else {}


def select_host(rows: Sequence[dict[str, Any]], asked: str | None) -> list[dict[str, Any]]:
    """Return the rows of a host.

    Parameters
    ----------
    rows : sequence of dict
        Results.
    asked : str or None
        A fingerprint, or how one begins; None for all rows.

    Raises
    ------
    UnknownNameError
        If there is no such host.
    NotComparableError
        If several begin so.
    """
    if asked is None:
        return list(rows)
    hosts = [*by_host(rows)]
    found = [host for host in hosts if asked and host.startswith(asked)]
    if not found:
        raise UnknownNameError("host", asked, hosts)
    if len(found) > 1:
        raise NotComparableError(
            f"--host {asked}: {len(found)} hosts begin so ({', '.join(sorted(found))}); give more "
            "of its fingerprint"
        )
    return [row for row in rows if str(row.get("host") or UNKNOWN) == found[0]]


def answer_each(
    rows: Iterable[Row],
    answer: Callable[[list[Row]], Sequence[Any]],
    names: Mapping[str, str] | None = None,
) -> Answered:
    """Ask about each host by itself; about all rows at once where they are of one host.

    Parameters
    ----------
    rows : iterable of mapping
        Results or trials.
    answer : callable
        Asks a comparer about rows of one host, whose answers have a field ``host``.
    names : mapping of str to str, optional
        What hosts are called, of rows that do not tell, such as trials.

    Raises
    ------
    GreenbenchError
        What the first host is refused, if all are.
    """
    rows = list(rows)
    groups = by_host(rows)
    if len(groups) <= 1:
        return Answered(tuple(answer(rows)))
    # Trials of a file may be of a host that their repeats do not name.
    names = {**names_of(rows), **(names or {})}
    answers: list[Any] = []
    refused: list[GreenbenchError] = []
    notes = []
    for host, members in groups.items():
        try:
            found = answer(members)
        except (NotComparableError, UnknownNameError) as error:
            refused.append(error)
            notes.append(f"no answer on {names[host]}: {error}")
            continue
        answers += [replace(each, host=names[host]) for each in found]
    if refused and not answers:
        raise refused[0]
    return Answered(tuple(answers), tuple(notes))


def _name(host: str, rows: Sequence[Row]) -> str:
    """Return the model of what trains, as far as results tell, and the fingerprint."""
    for row in rows:
        device, cpu = row.get("device"), row.get("cpu")
        known = device if device and str(device).lower() != "cpu" else cpu
        if known:
            return f"{known} ({host})"
    return host
