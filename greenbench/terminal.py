"""What people see in a terminal: progress, summary tables and sentences."""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from greenbench.cases import Case
from greenbench.compare.returns import SMALL_WH, Returns, compare_returns, with_unit
from greenbench.compare.stats import Estimate, estimate
from greenbench.errors import NotComparableError
from greenbench.results import JOULES_PER_WH, CaseResult, Provenance

LINE_INTERVAL_S = 20.0
UNBOOKED_SHARE = 0.05
WIDTH = 240
LARGE = 1000  # from here on, three digits would come with an exponent


class Progress:
    """Shows the case, the trial and the time left: a live line, or plain lines in a log.

    Parameters
    ----------
    cases : sequence of Case
        What will run.
    stream : file
        Where to.
    """

    def __init__(self, cases: Sequence[Case], stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._cases = cases
        self._total = sum(case.repeats for case in cases)
        self._finished = 0
        self._left = _TimeLeft(cases)
        self._label = ""
        self._trials = (0, 0)
        self._shown_at = 0.0

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            # No refresh thread: it would run inside the measured windows.
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def notice(self, message: str) -> None:
        """Show one line that stays."""
        self._console.print(Text(message))

    def repeat_started(self, case: Case, repeat: int, done_trials: int) -> None:
        """Show that a repeat begins."""
        count = f" repeat {repeat + 1}/{case.repeats}" if case.repeats > 1 else ""
        self._label = f"[{self._finished + 1}/{self._total}] {case.id}{count}"
        self._trials = (done_trials, case.trials)
        self._left.start(case, done_trials / case.trials)
        self._show(force=True)

    def event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Show a worker's event."""
        if kind == "trial_finished":
            self._trials = (int(values["index"]) + 1, self._trials[1])
            self._left.progress(self._trials[0] / max(self._trials[1], 1))
        self._show(force=False)

    def repeat_finished(self, result: CaseResult | None) -> None:
        """Show that a repeat ended."""
        self._finished += 1
        self._left.finish()
        if result is None:
            self.notice(f"{self._label}: FAILED")
        elif self._live is None:
            self.notice(f"{self._label}: {outcome(result)} · {self._left.text()} left")

    def case_dropped(self, case: Case) -> None:
        """Leave out the rest of a case that cannot work."""
        self._total -= self._left.drop(case)

    def _show(self, *, force: bool) -> None:
        now = time.monotonic()
        interval_s = 1.0 if self._live else LINE_INTERVAL_S
        if now - self._shown_at < interval_s and not (force and self._live):
            return
        self._shown_at = now
        done, total = self._trials
        line = f"{self._label} · trial {min(done + 1, total)}/{total} · {self._left.text()} left"
        if self._live:
            self._live.update(Text(line), refresh=True)
        else:
            self._console.print(Text(line))


class _TimeLeft:
    """Estimates the rest: by a case's own repeats, else by trials × epochs done so far."""

    def __init__(self, cases: Sequence[Case], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._remaining = {case.id: case.repeats for case in cases}
        self._work = {case.id: case.trials * case.epochs for case in cases}
        self._seconds: dict[str, list[float]] = {case.id: [] for case in cases}
        self._current: str | None = None
        self._started = 0.0
        self._share = self._done_before = 0.0

    def start(self, case: Case, done_share: float = 0.0) -> None:
        self._current, self._started = case.id, self._clock()
        # What was done before an interruption took no time now.
        self._share = self._done_before = done_share

    def progress(self, share: float) -> None:
        self._share = share

    def finish(self) -> None:
        if self._current is not None:
            if self._done_before < 1:
                whole_s = (self._clock() - self._started) / (1 - self._done_before)
                self._seconds[self._current].append(whole_s)
            self._remaining[self._current] -= 1
        self._current = None

    def drop(self, case: Case) -> int:
        count, self._remaining[case.id] = self._remaining[case.id], 0
        return count

    def text(self) -> str:
        seconds = self.seconds()
        if seconds is None:
            return "unknown time"
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

    def seconds(self) -> float | None:
        done_s = sum(map(sum, self._seconds.values()))
        done_work = sum(len(times) * self._work[name] for name, times in self._seconds.items())
        elapsed = self._clock() - self._started if self._current else 0.0
        if self._current and self._share > self._done_before:
            done_s += elapsed
            done_work += round((self._share - self._done_before) * self._work[self._current])
        if not done_work:
            return None
        pace = done_s / done_work
        left = sum(count * self._expected(name, pace) for name, count in self._remaining.items())
        if self._current:
            left -= self._done_before * self._expected(self._current, pace)
        return max(left - elapsed, 0.0)

    def _expected(self, name: str, seconds_per_work: float) -> float:
        times = self._seconds[name]
        return sum(times) / len(times) if times else self._work[name] * seconds_per_work


def outcome(result: CaseResult) -> str:
    """Return one repeat in a few words."""
    total = result.account.total
    failed = sum(trial.val_accuracy is None for trial in result.trials)
    trials = f"{len(result.trials)} trial{'s' if len(result.trials) != 1 else ''}"
    if failed:
        trials += f" ({failed} failed)"
    accuracy = "–" if result.test_accuracy is None else f"{result.test_accuracy:.1%}"
    return f"{trials}, test accuracy {accuracy}, {_energy(total.energy_j, total.provenance)}"


def summary_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of cases: energy, emissions and accuracy as medians with intervals."""
    table = Table(title="Cases: median [95% interval] over repeats", title_justify="left")
    table.add_column("case", no_wrap=True)
    unit, scale = _energy_unit([row["energy_wh"] for row in rows])
    gram = "mg" if scale != 1 else "g"
    for heading in (
        "n", f"energy, {unit}", f"emissions, {gram} CO2e", "test accuracy", "train GFLOP",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("energy is", no_wrap=True)
    has_failures = any(row["failed_trials"] for row in rows)
    if has_failures:
        table.add_column("failed trials", justify="right", no_wrap=True)
    for case_id, members in _by_case(rows).items():
        provenance = {Provenance(row["energy_provenance"]).label for row in members}
        cells = [
            escape(case_id),
            str(len(members)),
            _estimate(members, "energy_wh", scale=scale),
            _estimate(members, "emissions_g", scale=scale, interval=False),
            _estimate(members, "test_accuracy", scale=100, unit="%"),
            _estimate(members, "train_flops", scale=1e-9, interval=False),
            ", ".join(sorted(provenance)),
        ]
        if has_failures:
            failed, trials = (
                sum(row[name] for row in members) for name in ("failed_trials", "trials")
            )
            cells.append(f"{failed:.0f} of {trials:.0f}")
        table.add_row(*cells)
    return table


def returns_table(returns: Returns) -> Table:
    """Return the sizes of a family, least energy first."""
    title = f"Diminishing returns: {returns.family}, {returns.strategy}, {returns.backend}, "
    table = Table(title=escape(title + returns.setting), title_justify="left")
    table.add_column("size", no_wrap=True)
    unit, scale = _energy_unit([size.energy_wh.median for size in returns.sizes])
    for heading in (
        "parameters", "train GFLOP", f"energy, {unit}", "test accuracy", f"points/{unit}",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Pareto", no_wrap=True)
    for size in returns.sizes:
        step = "–" if size.points_per_wh is None else _signed(size.points_per_wh / scale)
        table.add_row(
            escape(size.network),
            f"{size.parameters:,}",
            f"{size.train_flops / 1e9:.3g}",
            _interval(size.energy_wh, scale, ""),
            _interval(size.accuracy, 100, "%"),
            step,
            "●" if size.is_on_front else "dominated",
        )
    return table


def provenance_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a reader must know of the figures: how they came about, and by what."""
    lines = []
    for provenance in sorted({str(row["energy_provenance"]) for row in rows}):
        chosen = [row for row in rows if row["energy_provenance"] == provenance]
        label = Provenance(provenance).label.upper()
        sources = "; ".join(sorted({str(row["energy_source"]) for row in chosen}))
        lines.append(f"Energy is {label} ({provenance}) by {sources}. Modelled RAM is left out.")
        if label != "MEASURED":
            lines.append(
                "Use ratios and FLOPs; absolute figures are rough. See `greenbench doctor`."
            )
    lines += _unbooked(rows)
    for row in {str(row["emissions_source"]): row for row in rows}.values():
        intensity = row["intensity_g_per_kwh"]
        lines.append(f"Emissions at {intensity:g} g CO2e/kWh: {row['emissions_source']}.")
    return lines


def print_summary(rows: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Print the table of cases, diminishing returns where there are any, and provenance."""
    if not rows:
        return
    console = console or new_console(sys.stdout)
    console.print(summary_table(rows))
    try:
        print_returns(compare_returns(rows), console)
    except NotComparableError as error:
        console.print(Text(f"No diminishing returns: {error}"))
    for line in provenance_lines(rows):
        console.print(Text(line))


def print_returns(found: Sequence[Returns], console: Console | None = None) -> None:
    """Print each family's table, and its answer in one sentence."""
    console = console or new_console(sys.stdout)
    for returns in found:
        console.print(returns_table(returns))
        console.print(Text(returns.sentence, style="bold"))
        console.print()


def new_console(stream: TextIO) -> Console:
    """Return a console with room for whole tables: a number that is cut off misleads."""
    return Console(file=stream, highlight=False, width=WIDTH)


def _unbooked(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line if much of the wall time lies between measured windows."""
    gaps = {str(r["case_id"]): 1 - r["duration_s"] / r["wall_s"] for r in rows if r["wall_s"]}
    wide = {case_id: gap for case_id, gap in gaps.items() if gap > UNBOOKED_SHARE}
    if not wide:
        return []
    worst = max(wide, key=lambda case_id: wide[case_id])
    return [
        f"{len(wide)} case(s) are so short that time between measured windows counts: "
        f"{wide[worst]:.0%} of {worst} is not in its energy."
    ]


def _by_case(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row["case_id"]), []).append(row)
    return groups


def _estimate(
    rows: Sequence[Mapping[str, Any]],
    column: str,
    *,
    scale: float,
    unit: str = "",
    interval: bool = True,
) -> str:
    values = [row[column] for row in rows if row[column] is not None]
    if not values:
        return "none"
    found = estimate(values)
    return _interval(found, scale, unit) if interval else f"{found.median * scale:.3g}"


def _interval(found: Estimate, scale: float, unit: str) -> str:
    def shown(value: float) -> str:
        return f"{value * scale:.1f}" if unit == "%" else f"{value * scale:.3g}"

    middle = f"{shown(found.median)}{unit}"
    if found.low is None or found.high is None:
        return middle
    return f"{middle} \\[{shown(found.low)}, {shown(found.high)}]"


def _signed(value: float) -> str:
    return f"{value:+,.0f}" if abs(value) >= LARGE else f"{value:+.3g}"


def _energy(energy_j: float | None, provenance: Provenance) -> str:
    if energy_j is None:
        return "energy unknown"
    return f"{with_unit(energy_j / JOULES_PER_WH)} {provenance.label}"


def _energy_unit(values: Sequence[float | None]) -> tuple[str, float]:
    """Return one unit for a column, and how many of it make a Wh."""
    known = [value for value in values if value is not None]
    typical = statistics.median(known) if known else 0.0
    return ("Wh", 1.0) if typical >= SMALL_WH else ("mWh", 1000.0)
