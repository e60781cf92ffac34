"""Thread counts: which number of threads takes least energy a sample on this machine."""

import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from greenbench.cases import Case
from greenbench.compare.stats import Estimate, estimate
from greenbench.errors import NotComparableError, WorkerError
from greenbench.results import CaseResult
from greenbench.results.marks import DISTURBED, marks_of
from greenbench.results.readings import Provenance, Reading
from greenbench.running.session import Listener, Session, check_completed
from greenbench.settings import Scope, Settings, default_uri

SUITE = "doctor"
ROUNDS = 5
BUDGET_S = 24.0
"""Seconds of training that all windows together take, about."""
LONGEST_WINDOW_S = 1.2
PER = 1000
ENERGY, CPU_TIME = "energy", "CPU time"

SMALL = Case(size="m", epochs=1, batch_size=64)
LARGE = Case(
    size="m",
    dataset="synthetic",
    dataset_options=(("samples", 2560), ("side", 28)),
    epochs=1,
    batch_size=512,
)


@dataclass(frozen=True)
class ThreadFigures:
    """What one number of threads takes on one network.

    Attributes
    ----------
    threads : int
        Of an operation.
    samples_per_s : Estimate
        Training samples a wall second.
    cpu_s : Estimate or None
        CPU seconds a 1,000 training samples; None if they are unknown.
    energy_j : Estimate or None
        Joules a 1,000 training samples; None if they are unknown.
    ratio : Estimate
        What decides, over that of the best number of threads, round by round.
    """

    threads: int
    samples_per_s: Estimate
    cpu_s: Estimate | None
    energy_j: Estimate | None
    ratio: Estimate


@dataclass(frozen=True)
class NetworkThreads:
    """All numbers of threads on one network.

    Attributes
    ----------
    network : str
        What was trained.
    provenance : str
        Of the energy.
    decides : str
        ``"energy"`` where it is measured, else ``"CPU time"``.
    best : int
        The number of threads that takes least of it.
    figures : tuple of ThreadFigures
        By number of threads.
    rounds : int
        How often each number was tried.
    disturbed : int
        Windows during which other processes used the machine.
    """

    network: str
    provenance: str
    decides: str
    best: int
    figures: tuple[ThreadFigures, ...]
    rounds: int
    disturbed: int

    @property
    def is_clear(self) -> bool:
        """Whether every other number of threads takes more, by more than the spread."""
        others = [each.ratio for each in self.figures if each.threads != self.best]
        return all(ratio.low is not None and ratio.low > 1 for ratio in others)

    @property
    def sentence(self) -> str:
        """The answer in words."""
        least = f"{self.network}: {_threads(self.best)} least {self.decides} a sample"
        others = [each for each in self.figures if each.threads != self.best]
        if not others:
            return f"{least}: there is no core for another."
        nearest = min(others, key=lambda each: (each.ratio.median, each.threads))
        ratio = nearest.ratio
        interval = "" if ratio.low is None else f" [{ratio.low:.3g}, {ratio.high:.3g}]"
        verdict = (
            "more than the spread"
            if self.is_clear
            else "but the spread is larger, so no difference is shown"
        )
        return (
            f"{least}; {_threads(nearest.threads)} {ratio.median:.3g}{interval} times as much, "
            f"{verdict}."
        )


@dataclass(frozen=True)
class ThreadCounts:
    """What the numbers of threads take on this machine.

    Attributes
    ----------
    networks : tuple of NetworkThreads
        One a network.
    best : int
        The number that takes least over all networks: by the geometric mean of its ratios.
    """

    networks: tuple[NetworkThreads, ...]
    best: int

    @property
    def notes(self) -> list[str]:
        """What must be known of the figures."""
        notes = []
        if any(each.decides != ENERGY for each in self.networks):
            notes.append(
                "Energy is not measured here, so CPU time decides: it needs no model of what a "
                "busy core draws."
            )
        if disturbed := sum(each.disturbed for each in self.networks):
            windows = sum(each.rounds * len(each.figures) for each in self.networks)
            notes.append(
                f"Other processes used the machine during {disturbed} of {windows} windows; "
                "repeat it on a quiet machine."
            )
        if len({each.best for each in self.networks if each.is_clear}) > 1:
            notes.append("The networks differ: `--threads` sets the number of a case.")
        return notes


def counts_up_to(cores: int) -> list[int]:
    """Return the powers of 2 up to a number of cores, and the number itself."""
    return sorted({*(2**power for power in range(cores.bit_length())), cores})


def to_cases(networks: Iterable[Case], counts: Iterable[int]) -> list[Case]:
    """Return the cases that are measured: each network with each number of threads."""
    counts = list(counts)
    return [
        replace(case, threads=threads, repeats=ROUNDS) for case in networks for threads in counts
    ]


def measure_threads(settings: Settings, cases: Sequence[Case], listener: Listener) -> ThreadCounts:
    """Train cases that differ in threads, in turn, and say which number takes least.

    Holds the host lock. Nothing is kept, in MLflow or elsewhere, but the log of a crash.

    Parameters
    ----------
    settings : Settings
        How and where.
    cases : sequence of Case
        As `to_cases` gives them.
    listener : Listener
        Is told of progress.

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
            min_window_s=min(LONGEST_WINDOW_S, BUDGET_S / (ROUNDS * len(cases))),
            idle_s=0.0,
            # Threads cost what the CPU uses, however it is known, wherever training runs.
            headline=Scope.TOTAL,
        )
        with Session(own, SUITE, cases, listener, is_fresh=True, is_resumable=False) as session:
            results = [session.run_repeat(case, repeat) for case, repeat in session.repeats()]
    for result in results:
        check_completed(result)
    return judge_threads(results)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="greenbench-threads-"))
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


def judge_threads(results: Iterable[CaseResult]) -> ThreadCounts:
    """Say which number of threads takes least.

    Parameters
    ----------
    results : iterable of CaseResult
        Of cases with numbers of threads; each repeat of one has those of all others.

    Raises
    ------
    NotComparableError
        If nothing is known of what decides.
    """
    networks: dict[Case, list[CaseResult]] = {}
    for result in results:
        networks.setdefault(replace(result.case, threads=None), []).append(result)
    ordered = sorted(networks.items(), key=lambda each: (each[0].batch_size, each[0].id))
    found = tuple(_judge(case, members) for case, members in ordered)
    # Of the ratios' logarithms: the least of these sums has the least geometric mean.
    totals: dict[int, float] = {}
    for figures in (figures for network in found for figures in network.figures):
        totals[figures.threads] = totals.get(figures.threads, 0) + math.log(figures.ratio.median)
    return ThreadCounts(found, min(totals, key=lambda threads: (totals[threads], threads)))


def _judge(case: Case, results: Sequence[CaseResult]) -> NetworkThreads:
    provenance = Provenance.worst(_training(result).provenance for result in results)
    decisive: dict[int, dict[int, float]] = {}
    for result in sorted(results, key=lambda each: (each.case.threads or 0, each.repeat)):
        repeats = decisive.setdefault(result.case.threads or 0, {})
        if (figure := _decisive(result, is_measured=provenance.is_measured)) is not None:
            repeats[result.repeat] = figure
    if not all(decisive.values()):
        raise NotComparableError(
            f"{case.id}: neither energy nor CPU time is known of all numbers of threads; see what "
            "`greenbench doctor` says of the meter"
        )
    # Round by round, so that a busier minute counts for none of them.
    first = decisive[min(decisive)]
    costs = {threads: _ratio(found, first).median for threads, found in decisive.items()}
    best = min(costs, key=lambda threads: (costs[threads], threads))
    return NetworkThreads(
        network=f"{case.network} on {case.dataset} with {case.backend_variant}, "
        f"batches of {case.batch_size}",
        provenance=provenance.label,
        decides=ENERGY if provenance.is_measured else CPU_TIME,
        best=best,
        figures=tuple(
            _figures(threads, results, _ratio(found, decisive[best]))
            for threads, found in decisive.items()
        ),
        rounds=len(decisive[best]),
        disturbed=sum(DISTURBED in marks_of(result) for result in results),
    )


def _figures(threads: int, results: Iterable[CaseResult], ratio: Estimate) -> ThreadFigures:
    trained = [
        (_training(result), result.costs.samples_seen)
        for result in results
        if result.case.threads == threads
    ]
    return ThreadFigures(
        threads,
        samples_per_s=estimate([samples / reading.duration_s for reading, samples in trained]),
        cpu_s=_per_thousand((reading.cpu_s, samples) for reading, samples in trained),
        energy_j=_per_thousand((reading.energy_j, samples) for reading, samples in trained),
        ratio=ratio,
    )


def _per_thousand(figures: Iterable[tuple[float | None, int]]) -> Estimate | None:
    known = [PER * figure / samples for figure, samples in figures if figure is not None]
    return estimate(known) if known else None


def _ratio(figures: Mapping[int, float], best: Mapping[int, float]) -> Estimate:
    return estimate([figures[repeat] / best[repeat] for repeat in figures if repeat in best])


def _decisive(result: CaseResult, *, is_measured: bool) -> float | None:
    """Return what a sample took; None if it is unknown, or so little that nothing was read."""
    reading = _training(result)
    figure = reading.energy_j if is_measured else reading.cpu_s
    return figure / result.costs.samples_seen if figure else None


def _training(result: CaseResult) -> Reading:
    return result.account.phases["train"]


def _threads(threads: int) -> str:
    return f"{threads} thread takes" if threads == 1 else f"{threads} threads take"
