"""Sessions in a terminal: a row each, the newest first."""

import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console

from greenbench.compare.sessions import Stored
from greenbench.compare.units import with_unit
from greenbench.results.readings import Provenance
from greenbench.terminal.console import new_console
from greenbench.terminal.tables import Table, show

UNKNOWN = "–"


def print_sessions(
    found: Sequence[Stored], states: Mapping[str, str], console: Console | None = None
) -> None:
    """Print what each session has, and what its energy was in all.

    Parameters
    ----------
    found : sequence of Stored
        In this order.
    states : mapping of str to str
        By id, what became of its run.
    console : rich.console.Console, optional
        Where to; by default standard output.
    """
    table = Table("Sessions, newest first", names=1, row="session", elsewhere="`--json`")
    for heading, rank in (("session", 0), ("started", 2), ("suite", 3)):
        table.add_column(heading, rank=rank)
    for heading in ("cases", "repeats"):
        table.add_column(heading, justify="right", rank=1)
    for heading, rank in (("host", 4), ("state", 1), ("energy", 0)):
        table.add_column(heading, rank=rank)
    for each in found:
        table.add_row(
            each.id or UNKNOWN,
            _time(each.started_at),
            each.suite,
            str(len(each.cases)),
            "–".join(dict.fromkeys(map(str, each.repeats))),
            ", ".join(each.hosts) or UNKNOWN,
            states[each.id] + (f", {each.failed} failed" if each.failed else ""),
            _energy(each),
        )
    show(console or new_console(sys.stdout), table)


def _time(at: float | None) -> str:
    return UNKNOWN if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _energy(session: Stored) -> str:
    """Return its energy; measured and estimated ones make no sum."""
    parts = [in_words(session.energies_wh)] if session.energies_wh else []
    parts += [f"{session.unknown} unknown"] if session.unknown else []
    parts += [f"{len(session.reused)} reused"] if session.reused else []
    return " + ".join(parts)


def in_words(energies_wh: Mapping[str, float]) -> str:
    """Return energies by provenance; measured and estimated ones make no sum."""
    return " + ".join(
        f"{with_unit(energy_wh)} {Provenance(provenance).label} ({provenance})"
        for provenance, energy_wh in sorted(energies_wh.items())
    )
