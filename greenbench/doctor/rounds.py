"""Rounds: cases that take turns, and what a training sample of each took."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from greenbench.cases import Case
from greenbench.compare.paired_means import PairedMean, corrected, mean_ratio
from greenbench.compare.stats import Estimate, estimate
from greenbench.errors import WorkerError
from greenbench.results import CaseResult
from greenbench.results.readings import Reading
from greenbench.running.case_checks import check_completed
from greenbench.running.listener import Listener
from greenbench.running.session import Session
from greenbench.settings import Settings, default_uri

_Name = TypeVar("_Name")

SUITE = "doctor"
ROUNDS = 5
BUDGET_S = 24.0
"""Seconds of training that all windows together take, about."""
LONGEST_WINDOW_S = 1.2
PER = 1000
ENERGY, CPU_TIME = "energy", "CPU time"


def measured(
    settings: Settings,
    cases: Sequence[Case],
    listener: Listener,
    *,
    budget_s: float = BUDGET_S,
    longest_s: float = LONGEST_WINDOW_S,
) -> list[CaseResult]:
    """Train cases in turn, and return their results. Nothing is kept but the log of a crash.

    Parameters
    ----------
    settings : Settings
        How and where.
    cases : sequence of Case
        Each with `ROUNDS` repeats.
    listener : Listener
        Is told of progress.
    budget_s, longest_s : float
        Seconds of training of all windows together, about, and of the longest one.

    Raises
    ------
    GreenbenchError
        If a case cannot be run.
    """
    with _folder() as folder:
        own = replace(
            settings,
            runs_dir=folder,
            tracking_uri=default_uri(folder),
            min_window_s=min(longest_s, budget_s / (ROUNDS * len(cases))),
            idle_s=0.0,
        )
        with Session(own, SUITE, cases, listener, is_fresh=True, is_resumable=False) as session:
            results = [session.run_repeat(case, repeat) for case, repeat in session.repeats()]
    for result in results:
        check_completed(result)
    return results


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="greenbench-doctor-"))
    is_needed = False
    try:
        yield folder
    except WorkerError:
        # Its message names a log in there.
        is_needed = True
        raise
    finally:
        if not is_needed:
            shutil.rmtree(folder, ignore_errors=True)


def training_of(result: CaseResult) -> Reading:
    """Return what training took."""
    return result.account.phases["train"]


def decisive_of(result: CaseResult, *, is_measured: bool) -> float | None:
    """Return what a sample took; None if it is unknown, or so little that nothing was read."""
    reading = training_of(result)
    figure = reading.energy_j if is_measured else reading.cpu_s
    return figure / result.costs.samples if figure else None


def per_thousand(figures: Iterable[tuple[float | None, int]]) -> Estimate | None:
    """Return what 1,000 samples took, of pairs of figures and samples; None if none is known."""
    known = [PER * figure / samples for figure, samples in figures if figure is not None]
    return estimate(known) if known else None


def ratio_of(figures: Mapping[int, float], best: Mapping[int, float]) -> PairedMean:
    """Return the ratio of two series of figures above 0, round by round."""
    return mean_ratio([figures[repeat] / best[repeat] for repeat in figures if repeat in best])


def ratios_to(
    series: Mapping[_Name, Mapping[int, float]], baseline: _Name
) -> dict[_Name, PairedMean]:
    """Return the ratio of each series to one of them, with p corrected for the others' number."""
    found = {name: ratio_of(figures, series[baseline]) for name, figures in series.items()}
    others = [name for name in found if name != baseline]
    return found | dict(zip(others, corrected([found[name] for name in others]), strict=True))


def interval_of(ratio: PairedMean) -> str:
    """Return the interval as it stands behind a ratio; nothing if there is none."""
    return "" if ratio.low is None else f" [{ratio.low:.3g}, {ratio.high:.3g}]"


def disturbance(disturbed: int, windows: int) -> str:
    """Return what is said of windows during which others used the machine."""
    return (
        f"Other processes used the machine during {disturbed} of {windows} windows; repeat it on a "
        "quiet machine."
    )
