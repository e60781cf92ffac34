"""Costs of a repeat, where each of its trials may have a network of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from greenbench.backends.base import OutOfMemoryError
from greenbench.cases import Scalar
from greenbench.errors import GreenbenchError
from greenbench.results import Costs, Trial
from greenbench.search.configuration import configure, searches
from greenbench.search.warming import ModelCosts, count_costs

if TYPE_CHECKING:
    from greenbench.search.subject import NetworkSubject


def costs_of(
    subject: "NetworkSubject", model: ModelCosts, trials: Sequence[Trial], incumbent: Trial | None
) -> Costs:
    """Return what the trials of a repeat cost together.

    Where networks differ by trial, each has its own FLOPs, and the parameters and the FLOPs of a
    sample are those of the incumbent. They are counted after the search, outside all windows.

    Parameters
    ----------
    subject : NetworkSubject
        What was trained.
    model : ModelCosts
        Of the case's own network.
    trials : sequence of Trial
        All of them.
    incumbent : Trial or None
        The best.
    """
    flops: int | None
    networks = None
    if searches(subject.case, "architecture", "dataset"):
        counts = _Counts(subject, model)
        each = [counts.train_flops(trial) for trial in trials]
        known = [flops for flops in each if flops is not None]
        flops = sum(known) if len(known) == len(each) else None
        model = counts.of(incumbent.hyperparameters) if incumbent else model
        networks = len(counts)
    else:
        samples = sum(trial.samples_seen for trial in trials)
        of_sample = model.train_flops_per_sample
        flops = None if of_sample is None else of_sample * samples
    return Costs(
        **asdict(model),
        train_flops=flops,
        samples_seen=sum(trial.samples_seen for trial in trials),
        epochs=sum(len(trial.epochs) for trial in trials),
        trials=len(trials),
        networks=networks,
    )


class _Counts:
    """Counts each network once."""

    def __init__(self, subject: "NetworkSubject", fallback: ModelCosts) -> None:
        self._subject, self._fallback = subject, fallback
        self._known: dict[str, ModelCosts] = {}

    def __len__(self) -> int:
        return len(self._known)

    def train_flops(self, trial: Trial) -> int | None:
        """Return the FLOPs of a trial; None if they are not known."""
        if not trial.samples_seen:
            return 0
        of_sample = self.of(trial.hyperparameters).train_flops_per_sample
        return None if of_sample is None else of_sample * trial.samples_seen

    def of(self, hyperparameters: Mapping[str, Scalar]) -> ModelCosts:
        """Return the costs of a trial's network."""
        its = configure(self._subject.case, hyperparameters)
        key = repr((sorted(its.architecture_options.items()), sorted(its.dataset_options.items())))
        if key not in self._known:
            self._known[key] = self._count(hyperparameters)
        return self._known[key]

    def _count(self, hyperparameters: Mapping[str, Scalar]) -> ModelCosts:
        backend = self._subject.bench.backend
        try:
            return count_costs(backend.build(self._subject.request(hyperparameters, seed=0)))
        except (OutOfMemoryError, GreenbenchError) as error:
            return ModelCosts(self._fallback.parameters, None, (str(error),))
