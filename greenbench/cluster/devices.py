"""How many measurements this machine takes at a time: what a worker each may be started for."""

from collections.abc import Mapping, Sequence

from greenbench import registry
from greenbench.backends import ReplayingBackend
from greenbench.cases import Case
from greenbench.energy.gpus import visible_gpus
from greenbench.errors import ConfigurationError
from greenbench.settings import Scope

METER = "METER"
"""Dask's resource of a worker that stands for one measured device: one measurement at a time."""

Surroundings = dict[str, str]
"""Environment variables of a worker, beside those of its parent."""


def surroundings(
    workers: int, cases: Sequence[Case], headline: str | None, environment: Mapping[str, str]
) -> list[Surroundings]:
    """Return what each of so many workers on this machine finds, so that none disturbs another.

    Where energy is the host's, the host is measured, by one worker at a time. Where it is that
    of a GPU alone, each GPU is. Where all cases replay recordings, nothing here is.

    Parameters
    ----------
    workers : int
        How many are asked for.
    cases : sequence of Case
        All that may run.
    headline : str or None
        A `Scope`, as it is asked for.
    environment : mapping of str to str
        Of this process: which GPUs CUDA shows it.

    Raises
    ------
    ConfigurationError
        If so many cannot measure here.
    """
    if headline == Scope.GPU:
        return _of_gpus(workers, environment)
    # Asked last: to know, a backend is imported.
    names = {case.backend for case in cases}
    if workers > 1 and not (names and all(map(_replays, names))):
        raise ConfigurationError(
            f"--cluster local:{workers} asks for {workers} workers, but this machine is 1 measured "
            "device: its energy is read as a whole; use local:1, or on a machine with several "
            "GPUs --headline gpu"
        )
    return [{} for _ in range(workers)]


def _of_gpus(workers: int, environment: Mapping[str, str]) -> list[Surroundings]:
    gpus = visible_gpus(environment)
    if workers > len(gpus):
        instead = f"use local:{len(gpus)}" if gpus else "choose another headline, and local:1"
        raise ConfigurationError(
            f"--cluster local:{workers} asks for {workers} workers, a GPU each, and --headline "
            f"gpu finds {len(gpus)} here; {instead}"
        )
    return [{"CUDA_VISIBLE_DEVICES": gpu.uuid} for gpu in gpus[:workers]]


def _replays(backend: str) -> bool:
    found = registry.backends.get(backend)
    return isinstance(found, type) and issubclass(found, ReplayingBackend)
