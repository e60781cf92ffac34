"""Thread counts: which number of threads takes least energy a sample on this machine."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from greenbench.cases import Case
from greenbench.compare.paired_means import PairedMean
from greenbench.compare.stats import Estimate, estimate
from greenbench.doctor.rounds import (
    CPU_TIME,
    ENERGY,
    ROUNDS,
    decisive_of,
    disturbance,
    interval_of,
    measured,
    per_thousand,
    ratio_of,
    ratios_to,
    training_of,
)
from greenbench.errors import NotComparableError
from greenbench.results import CaseResult
from greenbench.results.marks import BUSY, marks_of
from greenbench.results.readings import Provenance
from greenbench.running.listener import Listener
from greenbench.settings import Scope, Settings

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
    ratio : PairedMean
        What decides, over that of the best number of threads, round by round; p is corrected for
        the other numbers.
    """

    threads: int
    samples_per_s: Estimate
    cpu_s: Estimate | None
    energy_j: Estimate | None
    ratio: PairedMean


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
        """Whether every other number of threads is shown to take more."""
        others = [each.ratio for each in self.figures if each.threads != self.best]
        return all(ratio.is_shown and ratio.mean > 1 for ratio in others)

    @property
    def sentence(self) -> str:
        """The answer in words."""
        least = f"{self.network}: {_threads(self.best)} least {self.decides} a sample"
        others = [each for each in self.figures if each.threads != self.best]
        if not others:
            return f"{least}: there is no core for another."
        nearest = min(others, key=lambda each: (each.ratio.mean, each.threads))
        ratio = nearest.ratio
        verdict = (
            "more than the spread"
            if self.is_clear
            else "but the spread is larger, so no difference is shown"
        )
        return (
            f"{least}; {_threads(nearest.threads)} {ratio.mean:.3g}{interval_of(ratio)} times as "
            f"much, {verdict}."
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
            notes.append(disturbance(disturbed, windows))
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
    # Threads cost what the CPU uses, however it is known, wherever training runs.
    own = replace(settings, headline=Scope.TOTAL)
    return judge_threads(measured(own, cases, listener))


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
        totals[figures.threads] = totals.get(figures.threads, 0) + math.log(figures.ratio.mean)
    return ThreadCounts(found, min(totals, key=lambda threads: (totals[threads], threads)))


def _judge(case: Case, results: Sequence[CaseResult]) -> NetworkThreads:
    provenance = Provenance.worst(training_of(result).provenance for result in results)
    decisive: dict[int, dict[int, float]] = {}
    for result in sorted(results, key=lambda each: (each.case.threads or 0, each.repeat)):
        repeats = decisive.setdefault(result.case.threads or 0, {})
        if (figure := decisive_of(result, is_measured=provenance.is_measured)) is not None:
            repeats[result.repeat] = figure
    if not all(decisive.values()):
        raise NotComparableError(
            f"{case.id}: neither energy nor CPU time is known of all numbers of threads; see what "
            "`greenbench doctor` says of the meter"
        )
    # Round by round, so that a busier minute counts for none of them.
    first = decisive[min(decisive)]
    costs = {threads: ratio_of(found, first).mean for threads, found in decisive.items()}
    best = min(costs, key=lambda threads: (costs[threads], threads))
    ratios = ratios_to(decisive, best)
    return NetworkThreads(
        network=f"{case.network} on {case.dataset} with {case.backend_variant}, "
        f"batches of {case.batch_size}",
        provenance=provenance.label,
        decides=ENERGY if provenance.is_measured else CPU_TIME,
        best=best,
        figures=tuple(_figures(threads, results, ratio) for threads, ratio in ratios.items()),
        rounds=len(decisive[best]),
        disturbed=sum(not BUSY.isdisjoint(marks_of(result)) for result in results),
    )


def _figures(threads: int, results: Iterable[CaseResult], ratio: PairedMean) -> ThreadFigures:
    trained = [
        (training_of(result), result.costs.samples)
        for result in results
        if result.case.threads == threads
    ]
    return ThreadFigures(
        threads,
        samples_per_s=estimate([samples / reading.duration_s for reading, samples in trained]),
        cpu_s=per_thousand((reading.cpu_s, samples) for reading, samples in trained),
        energy_j=per_thousand((reading.energy_j, samples) for reading, samples in trained),
        ratio=ratio,
    )


def _threads(threads: int) -> str:
    return f"{threads} thread takes" if threads == 1 else f"{threads} threads take"
