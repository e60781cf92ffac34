"""What comparers answer of devices and hosts, as tables of a page."""

from collections.abc import Sequence

from greenbench.compare.brackets import brackets
from greenbench.compare.over_hosts import OverHosts
from greenbench.compare.scaling import Devices, Scaling
from greenbench.compare.units import energy_unit
from greenbench.reports.answers import numbered, p_of
from greenbench.reports.cells import bare_score_cell, chance_cell, estimate_cell, number_cell
from greenbench.reports.formats import on, provenance_label
from greenbench.reports.scores import heading
from greenbench.reports.table import NONE, Cell, Table
from greenbench.tasks import Score


def scaling_tables(found: Sequence[Scaling]) -> list[Table]:
    """Return what more devices cost and save, a table for each training and host.

    Parameters
    ----------
    found : sequence of Scaling
        As `greenbench.compare.scaling` gives them.
    """
    return [_scaling_table(each, numbered(place, found)) for place, each in enumerate(found, 1)]


def _scaling_table(found: Scaling, suffix: str) -> Table:
    medians = [each.energy_wh for each in found.devices]
    unit, scale = energy_unit(each.median for each in medians if each is not None)
    headings = (
        "devices", "n", f"energy, {unit}", "time, s", "energy, times", "p", "speed-up",
        "efficiency", heading(found.judged_by, "difference in test"), "energy × time, of the step",
        "p",
    )  # fmt: skip
    caption = (
        f"{found.group}{on(found.host)}: median{brackets(medians)}, ratios to "
        f"{found.fewest.devices} (energy {provenance_label(found.provenance)})"
    )
    rows = [_devices(each, scale, found.judged_by) for each in found.devices]
    return Table(f"scaling{suffix}", caption, headings, rows, found.records())


def _devices(each: Devices, scale: float, score: Score) -> list[Cell]:
    difference = each.score_difference
    return [
        number_cell(each.devices, "{}"),
        number_cell(each.n, "{}"),
        estimate_cell(each.energy_wh, scale),
        estimate_cell(each.duration_s, 1.0),
        estimate_cell(each.energy, 1.0),
        chance_cell(p_of(each.energy)),
        estimate_cell(each.speed_up, 1.0),
        estimate_cell(each.efficiency, 1.0),
        NONE if difference is None else bare_score_cell(difference.mean, score, "+"),
        estimate_cell(each.product, 1.0),
        chance_cell(p_of(each.product)),
    ]


def hosts_tables(found: Sequence[OverHosts]) -> list[Table]:
    """Return what the ratios of several hosts say together.

    Parameters
    ----------
    found : sequence of OverHosts
        One a comparison.
    """
    return [_hosts_table(each) for each in found]


def _hosts_table(found: OverHosts) -> Table:
    rows = [
        [
            Cell(each.group),
            Cell(each.variant),
            number_cell(len(each.hosts), "{}"),
            estimate_cell(each.energy, 1.0),
            chance_cell(p_of(each.energy)),
            chance_cell(each.energy_apart),
            estimate_cell(each.duration, 1.0),
        ]
        for each in found.ratios
    ]
    headings = ("group", found.compared, "hosts", "energy", "p", "hosts differ, p", "duration")
    caption = (
        f"Ratios to {found.baseline} over {len(found.hosts)} hosts: geometric mean of the hosts' "
        f"[95% interval] (energy {provenance_label(found.provenance)})"
    )
    return Table(f"{found.compared}s-hosts", caption, headings, rows, found.records())
