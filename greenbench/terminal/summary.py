"""The table of cases after a run, and what a reader must know of its figures."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from statistics import median
from typing import Any

from rich.console import Console

from greenbench.compare.brackets import brackets
from greenbench.compare.returns import compare_returns
from greenbench.compare.rows import is_reused
from greenbench.compare.samples import Samples, describe_samples, marks_in
from greenbench.compare.sessions import saved_wh
from greenbench.compare.spread import in_percent
from greenbench.compare.stats import Estimate, estimate
from greenbench.compare.units import energy_unit
from greenbench.compare.winners import found_lines
from greenbench.errors import NotComparableError
from greenbench.results.emissions import are_rough, intensity_in_words, one_digit
from greenbench.results.marks import MEANINGS
from greenbench.results.readings import Provenance
from greenbench.results.scores import score_of
from greenbench.tasks import Score, score_format
from greenbench.terminal.answers import print_returns
from greenbench.terminal.beside import beside_lines
from greenbench.terminal.console import new_console, say
from greenbench.terminal.formats import interval
from greenbench.terminal.sessions import in_words
from greenbench.terminal.tables import Table, show

Row = Mapping[str, Any]

CV_INTERVAL = "95% of CV"
SHOWN_SHARE = 0.01
"""Of an energy, from which on its uncertainty is shown beside it."""


def summary_table(rows: Sequence[Row], *, include_disturbed: bool = False) -> Table:
    """Return the table of cases: energy, emissions and score as medians, and how they spread."""
    scores = {score_of(row).name: score_of(row) for row in rows}
    cases = {
        case_id: describe_samples(members, include_disturbed=include_disturbed)
        for case_id, members in _by_case(rows).items()
    }
    table = Table(f"Cases: median{_brackets(cases.values())} over repeats", row="case")
    table.add_column("case")
    unit, scale = energy_unit([row["energy_wh"] for row in rows])
    gram = "mg" if scale != 1 else "g"
    for heading, rank in (
        ("n", 2), (f"energy, {unit}", 0), ("CV", 5), (f"emissions, {gram} CO2e", 4),
        (_score_heading(scores), 0), ("train GFLOP", 3), (CV_INTERVAL, 6),
    ):  # fmt: skip
        table.add_column(heading, justify="right", rank=rank)
    table.add_column("energy is", rank=1, is_shared=True)
    has_failures = any(row["failed_trials"] for row in rows)
    if has_failures:
        table.add_column("failed trials", justify="right", rank=1)
    table.add_column("marks", rank=1, is_shared=True)
    for case_id, samples in cases.items():
        failed = [_failed_trials(samples.rows)] if has_failures else []
        cells = _cells(samples, scale, is_only=len(scores) == 1)
        table.add_row(case_id, *cells, *failed, " ".join(samples.marks))
    return table


def _cells(samples: Samples, scale: float, *, is_only: bool) -> list[str]:
    """Return the figures of a case, under the headings that each table has."""
    members = samples.rows
    counted, all_rows = len(samples.counted), len(members)
    has_flops = any(row["train_flops"] is not None for row in members)
    return [
        str(counted) if counted == all_rows else f"{counted} of {all_rows}",
        _energy_cell(samples, scale),
        "–" if samples.cv is None else f"{samples.cv:.1%}",
        _emissions(samples.counted, scale),
        _score_cell(members, is_only=is_only),
        _estimate(members, "train_flops", scale=1e-9, with_interval=False)
        if has_flops
        else "unknown",
        _cv_interval(samples),
        ", ".join(sorted({Provenance(row["energy_provenance"]).label for row in members})),
    ]


def _failed_trials(rows: Sequence[Row]) -> str:
    failed, trials = (sum(row[name] for row in rows) for name in ("failed_trials", "trials"))
    return f"{failed:.0f} of {trials:.0f}"


def _score_heading(scores: Mapping[str, Score]) -> str:
    if len(scores) > 1:
        return "test score"
    (score,) = scores.values()
    unit = None if score_format.is_share(score) else score.unit
    return score_format.heading(score, "test", unit)


def _score_cell(rows: Sequence[Row], *, is_only: bool) -> str:
    """Return a median score; where several are shown, each with its name."""
    score = score_of(rows[0])
    times, unit = score_format.scale(score)
    unit = unit if score_format.is_share(score) else ""
    shown = _estimate(rows, "test_score", scale=times, unit=unit)
    return shown if is_only else f"{score_format.words(score)} {shown}"


def _energy_cell(samples: Samples, scale: float) -> str:
    if samples.counted:
        return _estimate(samples.counted, "energy_wh", scale=scale) + _doubt(samples)
    # Shown, but not summed up: nobody knows what the others added.
    known = [row["energy_wh"] * scale for row in samples.rows if row["energy_wh"] is not None]
    return f"({', '.join(f'{value:.3g}' for value in sorted(known))})" if known else "none"


def _doubt(samples: Samples) -> str:
    """Return what ticks leave open of the energy of a sample, where it matters."""
    shares = [
        row["uncertainty_wh"] / row["energy_wh"]
        for row in samples.counted
        if row.get("uncertainty_wh") is not None and row["energy_wh"]
    ]
    share = median(shares) if shares else 0.0
    return f" ±{share:.1%}" if share > SHOWN_SHARE else ""


def _emissions(counted: Sequence[Row], scale: float) -> str:
    if not counted:
        return "–"
    if are_rough(row["emissions_source"] for row in counted):
        return one_digit(scale * median(row["emissions_g"] for row in counted))
    return _estimate(counted, "emissions_g", scale=scale, with_interval=False)


def _cv_interval(samples: Samples) -> str:
    """Return between which bounds the CV lies that the repeats were drawn from."""
    if samples.cv_low is None:
        return "–"
    low = in_percent(samples.cv_low)
    return f"> {low}%" if samples.cv_high is None else f"{low}–{in_percent(samples.cv_high)}%"


def provenance_lines(rows: Sequence[Row]) -> list[str]:
    """Return what a reader must know of the figures: how they came about, and by what."""
    lines = []
    # Those of unknown energy come below, each with its reason.
    for provenance in sorted({str(row["energy_provenance"]) for row in rows} - {Provenance.NONE}):
        chosen = [row for row in rows if row["energy_provenance"] == provenance]
        label = Provenance(provenance).label.upper()
        sources = "; ".join(sorted({str(row["energy_source"]) for row in chosen}))
        lines.append(f"Energy is {label} ({provenance}) by {sources}. Modelled RAM is left out.")
        lines += beside_lines(chosen)
        if label != "MEASURED":
            lines.append(
                "Use ratios and FLOPs; absolute figures are rough. See `greenbench doctor`."
            )
    lines += _saved(rows)
    lines += _second_opinion(rows) + _unknown(rows) + _uncounted(rows)
    known = [row for row in rows if row["intensity_g_per_kwh"] is not None]
    for row in {str(row["emissions_source"]): row for row in known}.values():
        source = str(row["emissions_source"])
        at = intensity_in_words(row["intensity_g_per_kwh"], source)
        rough = ", with one digit" if are_rough([source]) else ""
        lines.append(f"Emissions at {at}{rough}: {source}.")
    lines += [f"Data: {note}." for note in _in_kinds(row.get("data_notes") for row in rows)]
    notes = dict.fromkeys(row.get("compute_notes") for row in rows)
    return lines + [f"Compute: {note}." for note in notes if note]


def _saved(rows: Sequence[Row]) -> list[str]:
    """Return what was not spent, since results were taken over."""
    reused = [row for row in rows if is_reused(row)]
    if not reused:
        return []
    energies_wh = saved_wh(rows)
    saved = f", which saves {in_words(energies_wh)}" if energies_wh else ""
    of = f"{len(rows)} repeat{'' if len(rows) == 1 else 's'}"
    return [f"Reused {len(reused)} of {of}{saved}."]


def _in_kinds(notes: Iterable[str | None]) -> list[str]:
    """Return notes, one of those that differ in figures alone: each repeat has its own split."""
    kinds: dict[str, list[str]] = {}
    for note in dict.fromkeys(filter(None, notes)):
        kinds.setdefault(re.sub(r"\d+(\.\d+)?", "0", note), []).append(note)
    return [
        first if not others else f"{first}; {len(others)} more differ in figures alone"
        for first, *others in kinds.values()
    ]


def print_summary(
    rows: Sequence[Row], console: Console | None = None, *, include_disturbed: bool = False
) -> None:
    """Print the table of cases, what searches found, diminishing returns, and provenance."""
    if not rows:
        return
    console = console or new_console(sys.stdout)
    show(console, summary_table(rows, include_disturbed=include_disturbed))
    for line in mark_lines(rows, include_disturbed=include_disturbed):
        say(console, line)
    console.print()
    for line in found_lines(rows):
        say(console, line)
    try:
        print_returns(compare_returns(rows, include_disturbed=include_disturbed), console)
    except NotComparableError as error:
        say(console, f"No diminishing returns: {error}")
    for line in provenance_lines(rows):
        say(console, line)


def summary_lines(
    rows: Sequence[Row],
    encoding: str,
    *,
    width: int | None = None,
    include_disturbed: bool = False,
) -> list[str]:
    """Return what `print_summary` prints, for a stream of an encoding.

    Parameters
    ----------
    rows : sequence of row
        One a repeat.
    encoding : str
        Whose letters are used.
    width : int, optional
        Of the stream's terminal, in columns.
    include_disturbed : bool
        Whether disturbed samples count, too.
    """
    page = _Page(encoding)
    console = new_console(page, width=width, is_plain=True)
    print_summary(rows, console, include_disturbed=include_disturbed)
    return [line.rstrip() for line in page.getvalue().splitlines()]


class _Page(StringIO):
    """Lines in letters of an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def mark_lines(rows: Sequence[Row], *, include_disturbed: bool = False) -> list[str]:
    """Return what each mark in the tables says, with how many samples or cases have it."""
    samples = [
        describe_samples(members, include_disturbed=include_disturbed)
        for members in _by_case(rows).values()
    ]
    of_cases = Counter(mark for each in samples for mark in each.marks)
    of_samples = Counter(mark for row in rows for mark in marks_in(row))
    return [
        f"{mark}: {meaning} ({_count(of_samples[mark], len(rows), 'sample')})"
        if of_samples[mark]
        else f"{mark}: {meaning} ({_count(of_cases[mark], len(samples), 'case')})"
        for mark, meaning in MEANINGS.items()
        if of_cases[mark]
    ]


def _count(some: int, all_of_them: int, what: str) -> str:
    return f"{some} of {all_of_them} {what}{'s' if all_of_them != 1 else ''}"


def _second_opinion(rows: Sequence[Row]) -> list[str]:
    """Return how far several meters differ, if there were several."""
    lines = []
    for meter in dict.fromkeys(row["meter"] for row in rows if "," in (row["meter"] or "")):
        found = [row["meter_disagreement"] for row in rows if row["meter"] == meter]
        known = [share for share in found if share is not None]
        said = (
            f"differ by at most {max(known):.1%} on what both measure"
            if known
            else "measure nothing in common, so there is no second opinion"
        )
        lines.append(f"The meters {meter} {said}. See `greenbench doctor`.")
    return lines


def _unknown(rows: Sequence[Row]) -> list[str]:
    """Return why energies are unknown, each reason once."""
    reasons = Counter(row["energy_reason"] for row in rows if row["energy_wh"] is None)
    return [
        f"The energy of {_count(number, len(rows), 'sample')} is unknown: "
        f"{reason or 'the meter gave no reason'}."
        for reason, number in reasons.items()
    ]


def _uncounted(rows: Sequence[Row]) -> list[str]:
    """Return what ran whose FLOPs nobody knows, for the cases that it ran in."""
    cases: dict[str, list[str]] = {}
    for row in rows:
        if row.get("uncounted"):
            cases.setdefault(str(row["uncounted"]), []).append(str(row["case_id"]))
    return [
        f"The FLOPs of {', '.join(dict.fromkeys(ids))} are unknown: of what runs there, "
        f"{operators} cannot be counted."
        for operators, ids in cases.items()
    ]


def _by_case(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row["case_id"]), []).append(row)
    return groups


def _brackets(cases: Iterable[Samples]) -> str:
    """Return what stands in the brackets of energies and scores."""
    energies, scores = zip(*((case.counted, case.rows) for case in cases), strict=True)
    of_column = {"energy_wh": energies, "test_score": scores}
    return brackets(_of(rows, column) for column, each in of_column.items() for rows in each)


def _of(rows: Sequence[Row], column: str) -> Estimate | None:
    values = [row[column] for row in rows if row[column] is not None]
    return estimate(values) if values else None


def _estimate(
    rows: Sequence[Row],
    column: str,
    *,
    scale: float,
    unit: str = "",
    with_interval: bool = True,
) -> str:
    found = _of(rows, column)
    if found is None:
        return "none"
    return interval(found, scale, unit) if with_interval else f"{found.median * scale:.3g}"
