"""Compute options: which precision and layout takes least energy on this machine, at equal loss."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from greenbench.cases import Case, Scalar
from greenbench.cases.case import Options, freeze_options
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
    ratios_to,
    training_of,
)
from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.results import CaseResult
from greenbench.results.marks import BUSY, marks_of
from greenbench.results.readings import Provenance
from greenbench.running.listener import Listener
from greenbench.settings import Settings

NETWORK = Case(size="m", epochs=2, batch_size=64)
"""What is trained if nothing is named."""
BACKEND = "torch"
LOSS_LIMIT = 1.02
"""Training losses up to this ratio to the baseline's count as equal."""
BUDGET_S = 90.0
LONGEST_WINDOW_S = 2.0


@dataclass(frozen=True)
class OptionFigures:
    """What one choice of options takes.

    Attributes
    ----------
    options : str
        As they are given on the command line; empty for the defaults.
    samples_per_s : Estimate
        Training samples a wall second.
    cpu_s, energy_j : Estimate or None
        CPU seconds and joules a 1,000 training samples; None if they are unknown.
    ratio : PairedMean
        What decides, over the baseline's, round by round; p is corrected for the other choices.
    loss_ratio : Estimate or None
        Training loss of the last epoch over the baseline's, round by round; None if it has none.
    has_equal_loss : bool
        Whether that is at most `LOSS_LIMIT`.
    """

    options: str
    samples_per_s: Estimate
    cpu_s: Estimate | None
    energy_j: Estimate | None
    ratio: PairedMean
    loss_ratio: Estimate | None
    has_equal_loss: bool


@dataclass(frozen=True)
class ComputeOptions:
    """All choices on one network; the first is the baseline.

    Attributes
    ----------
    network : str
        What was trained.
    provenance : str
        Of the energy.
    decides : str
        ``"energy"`` where it is measured, else ``"CPU time"``.
    best : str
        The options that take least of it at equal loss.
    figures : tuple of OptionFigures
        One a choice.
    rounds : int
        How often each was tried.
    disturbed : int
        Windows during which other processes used the machine.
    """

    network: str
    provenance: str
    decides: str
    best: str
    figures: tuple[OptionFigures, ...]
    rounds: int
    disturbed: int

    @property
    def is_clear(self) -> bool:
        """Whether the best options are shown to take less than the baseline."""
        ratio = next(each.ratio for each in self.figures if each.options == self.best)
        return ratio.is_shown and ratio.mean < 1

    @property
    def advice(self) -> str:
        """The options for copying, if they are shown to take less."""
        return self.best if self.best and self.is_clear else "leave --compute out"

    @property
    def sentence(self) -> str:
        """The answer in words."""
        baseline = self.figures[0]
        if self.best == baseline.options:
            least = f"nothing takes less {self.decides} at equal loss"
            return f"{self.network}: {least} than {_named(baseline.options)}."
        (ratio,) = (each.ratio for each in self.figures if each.options == self.best)
        verdict = (
            "more than the spread"
            if self.is_clear
            else "but the spread is larger, so no difference is shown"
        )
        return (
            f"{self.network}: {_named(self.best)} takes {ratio.mean:.3g}{interval_of(ratio)} times "
            f"the {self.decides} of {_named(baseline.options)} at equal loss, {verdict}."
        )

    @property
    def notes(self) -> list[str]:
        """What must be known of the figures."""
        notes = []
        if self.decides != ENERGY:
            notes.append("Energy is not measured here, so CPU time decides.")
        if worse := [_named(each.options) for each in self.figures if not each.has_equal_loss]:
            notes.append(
                f"Left out, since the training loss is more than {LOSS_LIMIT - 1:.0%} above the "
                f"baseline's: {'; '.join(worse)}."
            )
        if self.disturbed:
            notes.append(disturbance(self.disturbed, self.rounds * len(self.figures)))
        return notes


def to_cases(network: Case, choices: Iterable[Mapping[str, Scalar]]) -> list[Case]:
    """Return the cases that are measured: the network with each choice of options.

    Raises
    ------
    ConfigurationError
        If its backend takes no options.
    """
    if network.backend != BACKEND:
        raise ConfigurationError(
            f"backend is {network.backend!r}, which takes no --compute options; expected "
            f"{BACKEND}: leave --backend out"
        )
    return [
        replace(network, backend_options=freeze_options(options), repeats=ROUNDS)
        for options in choices
    ]


def measure_options(
    settings: Settings, cases: Sequence[Case], listener: Listener
) -> ComputeOptions:
    """Train cases that differ in options, in turn, and say which take least.

    Parameters
    ----------
    settings : Settings
        How and where.
    cases : sequence of Case
        As `to_cases` gives them; the first is the baseline.
    listener : Listener
        Is told of progress.

    Raises
    ------
    GreenbenchError
        If a case cannot be run.
    """
    results = measured(settings, cases, listener, budget_s=BUDGET_S, longest_s=LONGEST_WINDOW_S)
    return judge_options(cases, results)


def judge_options(cases: Sequence[Case], results: Iterable[CaseResult]) -> ComputeOptions:
    """Say which options take least at equal loss.

    Parameters
    ----------
    cases : sequence of Case
        What was measured, the baseline first.
    results : iterable of CaseResult
        Of these cases; each repeat of one has those of all others.

    Raises
    ------
    NotComparableError
        If nothing is known of what decides.
    """
    results = sorted(results, key=lambda each: each.repeat)
    provenance = Provenance.worst(training_of(result).provenance for result in results)
    by_choice = {
        case.backend_options: [each for each in results if each.case == case] for case in cases
    }
    decisive = {
        options: _known(members, provenance.is_measured) for options, members in by_choice.items()
    }
    if not all(decisive.values()):
        raise NotComparableError(
            f"{cases[0].id}: neither energy nor CPU time is known of all options; see what "
            "`greenbench doctor` says of the meter"
        )
    first = cases[0].backend_options
    losses = {options: _losses(members) for options, members in by_choice.items()}
    ratios = ratios_to(decisive, first)
    figures = [
        _figures(
            options,
            members,
            ratios[options],
            _loss_ratio(losses[options], losses[first]),
        )
        for options, members in by_choice.items()
    ]
    # The baseline is equal to itself.
    best = min((each for each in figures if each.has_equal_loss), key=lambda each: each.ratio.mean)
    case = cases[0]
    return ComputeOptions(
        network=f"{case.network} on {case.dataset}, batches of {case.batch_size}",
        provenance=provenance.label,
        decides=ENERGY if provenance.is_measured else CPU_TIME,
        best=best.options,
        figures=tuple(figures),
        rounds=len(decisive[first]),
        disturbed=sum(not BUSY.isdisjoint(marks_of(result)) for result in results),
    )


def spelled(options: Options) -> str:
    """Return options as they are given on the command line."""
    return " ".join(
        f"--compute {name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in options
    )


def _figures(
    options: Options, members: Sequence[CaseResult], ratio: PairedMean, loss: Estimate | None
) -> OptionFigures:
    trained = [(training_of(result), result.costs.samples) for result in members]
    return OptionFigures(
        spelled(options),
        samples_per_s=estimate([samples / reading.duration_s for reading, samples in trained]),
        cpu_s=per_thousand((reading.cpu_s, samples) for reading, samples in trained),
        energy_j=per_thousand((reading.energy_j, samples) for reading, samples in trained),
        ratio=ratio,
        loss_ratio=loss,
        has_equal_loss=loss is not None and loss.median <= LOSS_LIMIT,
    )


def _known(members: Iterable[CaseResult], is_measured: bool) -> dict[int, float]:
    figures = {each.repeat: decisive_of(each, is_measured=is_measured) for each in members}
    return {repeat: figure for repeat, figure in figures.items() if figure is not None}


def _losses(members: Iterable[CaseResult]) -> dict[int, float]:
    """Return the loss of each round's last epoch, where it has one."""
    losses = {each.repeat: each.trials[0].epochs[-1].train_loss for each in members}
    return {repeat: loss for repeat, loss in losses.items() if loss is not None}


def _loss_ratio(losses: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate | None:
    if losses.keys() != baseline.keys() or not all(baseline.values()):
        return None
    return estimate([losses[repeat] / baseline[repeat] for repeat in losses])


def _named(options: str) -> str:
    return options or "the defaults"
