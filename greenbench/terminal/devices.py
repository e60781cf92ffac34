"""What comparers answer of devices and hosts: a table and a sentence each."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from greenbench.compare.brackets import brackets
from greenbench.compare.units import energy_unit
from greenbench.tasks.score_format import unit_apart, words
from greenbench.terminal.console import new_console, say
from greenbench.terminal.formats import apart, bracketed, chance, interval, label, on
from greenbench.terminal.tables import Table, show

if TYPE_CHECKING:
    from greenbench.compare.over_hosts import OverHosts
    from greenbench.compare.scaling import Scaling

ELSEWHERE = "`--csv`"


def print_scaling(found: Sequence["Scaling"], console: Console | None = None) -> None:
    """Print each training's table, and its answer in one sentence."""
    console = console or new_console(sys.stdout)
    for answer in found:
        show(console, _scaling_table(answer))
        say(console, answer.sentence, "bold")
        console.print()


def _scaling_table(answer: "Scaling") -> Table:
    of_what = f": {answer.group}" if answer.group else ""
    medians = [each.energy_wh for each in answer.devices]
    title = (
        f"Scaling over devices{of_what}{on(answer.host)}{label(answer.provenance)}: "
        f"median{brackets(medians)}, ratios to {answer.fewest.devices}"
    )
    table = Table(title, row="number", elsewhere=ELSEWHERE)
    unit, scale = energy_unit([each.median for each in medians if each is not None])
    score = f"{words(answer.judged_by)}, {unit_apart(answer.judged_by)}".rstrip(", ")
    table.add_column("devices", justify="right")
    for heading, rank in (
        (f"energy, {unit}", 2), ("time, s", 3), ("energy, times", 0), ("p", 4), ("speed-up", 0),
        ("efficiency", 1), (f"{score} apart", 2), ("energy × time, of the step", 1), ("p", 3),
    ):  # fmt: skip
        table.add_column(heading, justify="right", rank=rank)
    for each in answer.devices:
        difference = each.score_difference
        table.add_row(
            str(each.devices),
            "–" if each.energy_wh is None else interval(each.energy_wh, scale),
            "–" if each.duration_s is None else interval(each.duration_s),
            bracketed(each.energy),
            chance(each.energy),
            bracketed(each.speed_up),
            "–" if each.efficiency is None else interval(each.efficiency, 100, "%"),
            "–" if difference is None else apart(difference.mean, answer.judged_by),
            bracketed(each.product),
            chance(each.product),
        )
    return table


def print_over_hosts(found: "OverHosts", console: Console) -> None:
    """Print what the ratios of several hosts say together."""
    title = (
        f"{found.compared.capitalize()}s: ratio to {found.baseline} over {len(found.hosts)} hosts"
        f"{label(found.provenance)}: geometric mean of the hosts' [95% interval]"
    )
    table = Table(title, names=2, row="pair", elsewhere=ELSEWHERE)
    for heading in ("group", found.compared):
        table.add_column(heading)
    for heading, rank in (
        ("hosts", 1), ("energy", 0), ("p", 2), ("hosts differ, p", 1), ("duration", 3),
    ):  # fmt: skip
        table.add_column(heading, justify="right", rank=rank)
    for each in found.ratios:
        table.add_row(
            each.group,
            each.variant,
            str(len(each.hosts)),
            bracketed(each.energy),
            chance(each.energy),
            "–" if each.energy_apart is None else f"{each.energy_apart:.2g}",
            bracketed(each.duration),
        )
    if found.ratios:
        show(console, table)
    say(console, found.sentence, "bold")
    console.print()
