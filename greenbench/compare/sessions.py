"""Sessions of a store: what each has, which one is meant, and which has an answer."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from greenbench.compare.rows import is_reused
from greenbench.errors import ConfigurationError
from greenbench.results.marks import REPLAYED

Row = dict[str, Any]

LATEST, PREVIOUS = "latest", "previous"
MOST_NAMED = 5
LOOKED_BACK = 5
"""Sessions before the latest of a suite that may be pointed to as having more of its cases."""


@dataclass(frozen=True)
class Stored:
    """What a store has of one session.

    Attributes
    ----------
    id : str
        Name of its run's folder; empty for results that do not tell.
    suite : str
        Which it ran.
    rows : tuple of row
        Its results, one a repeat, oldest first.
    """

    id: str
    suite: str
    rows: tuple[Row, ...]

    @property
    def cases(self) -> dict[str, None]:
        """The ids of its cases, each once, in the order in which they came."""
        return dict.fromkeys(str(row["case_id"]) for row in self.rows)

    @property
    def started_at(self) -> float | None:
        """When its first repeat started, in seconds since 1970-01-01 UTC, if that is known."""
        known = [row["started_at"] for row in self.rows if row.get("started_at")]
        return min(known, default=None)

    @property
    def repeats(self) -> tuple[int, int]:
        """How many results its cases have: the fewest and the most."""
        found = Counter(str(row["case_id"]) for row in self.rows).values()
        return min(found), max(found)

    @property
    def energies_wh(self) -> dict[str, float]:
        """Energy that it used by provenance, in Wh; that of unknown energy is left out."""
        return energies_of([row for row in self.rows if not is_reused(row)])

    @property
    def reused(self) -> list[Row]:
        """Its results that were taken over, whose energy another session used."""
        return [row for row in self.rows if is_reused(row)]

    @property
    def unknown(self) -> int:
        """The number of results whose energy is unknown."""
        return sum(row["energy_wh"] is None for row in self.rows)

    @property
    def failed(self) -> int:
        """The number of repeats of which no trial completed."""
        return sum(row["status"] == "failed" for row in self.rows)

    @property
    def hosts(self) -> dict[str, None]:
        """Fingerprints of the machines that it ran on, each once."""
        return dict.fromkeys(str(row["host"]) for row in self.rows if row["host"])

    @property
    def day(self) -> str:
        """When it started, in words."""
        at = self.started_at
        return "an unknown day" if at is None else time.strftime("%Y-%m-%d", time.localtime(at))


@dataclass(frozen=True)
class Question:
    """What is asked of a session.

    Attributes
    ----------
    needs : str
        What results must be there, such as ``"results of two sizes"``.
    is_answered_by : callable
        Whether rows have them.
    """

    needs: str
    is_answered_by: Callable[[Sequence[Row]], bool]

    @classmethod
    def of(cls, needs: str, column: str, group: Sequence[str]) -> "Question":
        """Return one for which `column` must vary where the columns of `group` agree.

        Parameters
        ----------
        needs : str
            As above.
        column : str
            What is compared.
        group : sequence of str
            What must be equal; the compared column itself does not count.
        """
        common = [name for name in group if name != column]

        def varies(rows: Sequence[Row]) -> bool:
            found: dict[tuple[Any, ...], set[Any]] = {}
            for row in rows:
                key = tuple(row.get(name) for name in common)
                found.setdefault(key, set()).add(row.get(column))
            return any(len(values) > 1 for values in found.values())

        return cls(needs, varies)


def energies_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the energy of results by provenance, in Wh; unknown ones are left out."""
    found: dict[str, float] = {}
    for row in rows:
        if row["energy_wh"] is not None:
            provenance = str(row["energy_provenance"])
            found[provenance] = found.get(provenance, 0.0) + row["energy_wh"]
    return found


def saved_wh(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the energy, by provenance in Wh, that those of some results had which were reused.

    To replay what was recorded elsewhere would have taken none of it.
    """
    reused = [row for row in rows if is_reused(row)]
    return energies_of([row for row in reused if REPLAYED not in str(row["marks"]).split()])


def sessions_of(rows: Sequence[Row]) -> list[Stored]:
    """Return the sessions of a table, that of the newest result first.

    Parameters
    ----------
    rows : sequence of row
        As `greenbench.tracking.Store.read_rows` gives them, oldest first.
    """
    found: dict[tuple[str, str], list[Row]] = {}
    for row in reversed(rows):
        found.setdefault((str(row["session"] or ""), str(row["suite"])), []).append(row)
    return [Stored(*key, tuple(reversed(members))) for key, members in found.items()]


def find_session(rows: Sequence[Row], wanted: str, source: str) -> Stored:
    """Return the session that is meant.

    Parameters
    ----------
    rows : sequence of row
        Of all sessions, oldest first.
    wanted : str
        An id, the beginning of one, ``latest`` or ``previous``.
    source : str
        Where the rows come from, for messages.

    Raises
    ------
    ConfigurationError
        If there is none, or several begin so.
    """
    # One run of pytest may have results of several suites.
    whole: dict[str, Stored] = {}
    for each in sessions_of(rows):
        first = whole.setdefault(each.id, each)
        if first is not each:
            whole[each.id] = replace(first, rows=first.rows + each.rows)
    known = [*whole.values()]
    in_order = {LATEST: known[:1], PREVIOUS: known[1:2]}
    exact = [each for each in known if each.id == wanted]
    begun = [each for each in known if each.id.startswith(wanted)] if wanted else []
    found = in_order.get(wanted, exact or begun)
    if len(found) == 1:
        return found[0]
    if not found:
        there_is = f"there is {_named(known)}" if known else "it has none"
        raise ConfigurationError(
            f"no session {wanted!r} in {source}; {there_is} (`greenbench sessions` lists all)"
        )
    raise ConfigurationError(
        f"session {wanted!r} may be {_named(found)}; write more of the id, or `{LATEST}`"
    )


def newest(
    rows: Sequence[Row], question: Question | None = None, *, loose: str = ""
) -> tuple[list[Row], tuple[str, ...]]:
    """Return the rows of the latest session of each suite, or of its newest with an answer.

    A case that several of them have counts in the one with most results: with the same seeds, it
    is no further sample, and a look at it must not take it out of a suite.

    Parameters
    ----------
    rows : sequence of row
        Of all sessions, oldest first.
    question : Question, optional
        What the rows must answer; None takes the latest as they are.
    loose : str
        The suite whose sessions have nothing in common, and so lack nothing.

    Returns
    -------
    list of row
        Oldest first.
    tuple of str
        What must be known of where they come from.
    """
    of_suite: dict[str, list[Stored]] = {}
    for each in sessions_of(rows):
        of_suite.setdefault(each.suite, []).append(each)
    chosen, notes = [], []
    for suite, sessions in of_suite.items():
        used, note = _chosen(suite, sessions, question, is_loose=suite == loose)
        chosen.append(used)
        notes += [note] if note else []
    homes: dict[str, Stored] = {}
    for each in sorted(chosen, key=lambda each: len(each.rows), reverse=True):
        for case_id in each.cases:
            homes.setdefault(case_id, each)
    notes += _elsewhere(chosen, homes)
    kept = {(home.id, home.suite, case_id) for case_id, home in homes.items()}
    return [
        row
        for row in rows
        if (str(row["session"] or ""), str(row["suite"]), str(row["case_id"])) in kept
    ], tuple(notes)


def _chosen(
    suite: str, sessions: Sequence[Stored], question: Question | None, *, is_loose: bool
) -> tuple[Stored, str | None]:
    """Return the session of a suite that is used, and what must be known of that."""
    latest = sessions[0]
    if question and not question.is_answered_by(latest.rows):
        for each in sessions[1:]:
            if question.is_answered_by(each.rows):
                return each, (
                    f"suite {suite}: from session {each.id} of {each.day}, since the latest "
                    f"({latest.id}) has no {question.needs}"
                )
    for each in () if is_loose else sessions[1 : 1 + LOOKED_BACK]:
        if each.cases.keys() > latest.cases.keys():
            return latest, (
                f"suite {suite}: the latest session has {len(latest.cases)} of the "
                f"{len(each.cases)} cases that {each.id} of {each.day} has; "
                f"`--session {each.id}` takes that"
            )
    return latest, None


def _elsewhere(chosen: Sequence[Stored], homes: Mapping[str, Stored]) -> list[str]:
    """Return which cases do not count in a session, since they count in another one."""
    notes = []
    for each in chosen:
        others = Counter(homes[case_id].id for case_id in each.cases if homes[case_id] is not each)
        for other, number in others.items():
            count, it = ("counts", "it") if number == 1 else ("count", "them")
            notes.append(
                f"session {each.id}: {number} of {_number(len(each.cases), 'case')} {count} as "
                f"{other} ran {it}, which is larger, or newer; `--session {each.id}` takes its own"
            )
    return notes


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _named(found: Sequence[Stored]) -> str:
    few = [each.id or "one without an id" for each in found[:MOST_NAMED]]
    if more := len(found) - len(few):
        few.append(f"{more} more")
    return few[0] if len(few) == 1 else f"{', '.join(few[:-1])} and {few[-1]}"
