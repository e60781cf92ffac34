"""How many trials are trained as one: what a case says, or what the device has memory for."""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from greenbench.architectures import Native
from greenbench.backends import Backend, BuildRequest
from greenbench.backends.base import (
    BatchingBackend,
    OutOfMemoryError,
    SizingBackend,
    sample_order,
)
from greenbench.cases import Case
from greenbench.cases.case import AUTO
from greenbench.errors import ArchitectureError
from greenbench.machine.places import calling
from greenbench.search.batch_training import obstacle_to_batching
from greenbench.search.scores import score_of
from greenbench.search.warming import WARM_UP_BATCHES

MOST_LANES = 64
"""More at once gain little, and lose more if their worker dies."""


@dataclass(frozen=True)
class Lanes:
    """How many trials are trained as one.

    Attributes
    ----------
    count : int
        So many.
    note : str or None
        Why, where the case leaves it open.
    """

    count: int
    note: str | None = None


def choose_lanes(
    backend: Backend, request: BuildRequest, case: Case, train_size: int, *, has_spare: bool
) -> Lanes:
    """Return how many trials are trained as one, after a throw-away batch of so many.

    Parameters
    ----------
    backend : Backend
        Trains.
    request : BuildRequest
        What is trained.
    case : Case
        The definition.
    train_size : int
        Samples of the training split.
    has_spare : bool
        Whether a second batch fills short windows.

    Raises
    ------
    ArchitectureError
        If a number is given, and the architecture cannot be vectorised.
    """
    architecture = request.architecture
    guard = (
        calling(
            f"architecture {architecture.name!r}",
            architecture.build,
            ArchitectureError,
            passing=(OutOfMemoryError,),
        )
        if isinstance(architecture, Native)
        else nullcontext()
    )
    with guard:
        found = _Choice(backend, request, case, train_size, has_spare)
        return found.automatic() if case.batched_trials == AUTO else found.given()


class _Choice:
    def __init__(
        self,
        backend: Backend,
        request: BuildRequest,
        case: Case,
        train_size: int,
        has_spare: bool,
    ) -> None:
        self._backend = backend
        self._case = case
        self._batches = 2 if has_spare else 1
        self._request = request
        order = sample_order(train_size, request.batch_size, seed=0, epoch=0)
        self._order = order[: WARM_UP_BATCHES * request.batch_size]

    def given(self) -> Lanes:
        """Try what the case says; if it does not fit, the trials will say so."""
        count = int(self._case.batched_trials)
        if count > 1:
            self._fits(min(count, self._case.trials))
        return Lanes(count)

    def automatic(self) -> Lanes:
        """Find out how many fit; one where batches cannot be, or do not pay."""
        if obstacle := obstacle_to_batching(self._case, self._backend):
            return _alone(obstacle[0])
        if not isinstance(self._backend, SizingBackend):
            return _alone(f"backend {self._case.backend!r} does not say how many fit")
        most = min(self._case.trials, MOST_LANES)
        if most == 1:
            return Lanes(1)
        try:
            requests = [self._request] * (most * self._batches)
            count = self._backend.lanes_that_fit(requests, [self._order] * 2) // self._batches
            # It was worked out from two: try it.
            while count > 1 and not self._fits(count):
                count //= 2
        except ArchitectureError as error:
            return _alone(str(error))
        except OutOfMemoryError:
            count = 1
        if count <= 1:
            return _alone("the device has no memory for more")
        return Lanes(count, f"{count} trials are trained as one (batched_trials auto)")

    def _fits(self, count: int) -> bool:
        assert isinstance(self._backend, BatchingBackend)
        try:
            batch = self._backend.build_batch([self._request] * count)
            batch.train_epoch(np.tile(self._order, (count, 1)))
            scores = batch.evaluate("validation").tolist()
        except OutOfMemoryError:
            return False
        for each in scores:
            score_of(each, self._case, self._request.task.score)
        return True


def _alone(reason: str) -> Lanes:
    return Lanes(1, f"trials are trained one by one (batched_trials auto): {reason}")
