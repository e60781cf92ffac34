"""Surroundings: what is global in the process, as one training finds it whenever it goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from greenbench.backends.late_imports import seed_packages, seeding_imports
from greenbench.backends.process_settings import ACTIVE_RUNS, imported
from greenbench.backends.process_state import (
    ProcessState,
    RandomStates,
    put_random,
    put_settings,
    random_states,
    seed_process,
)


class Surroundings:
    """The random numbers of one training and what it set itself; nobody else meets them.

    Trainings take turns under a scheduler. Each finds its own, and leaves the process as it was.

    Parameters
    ----------
    who : str
        Whose they are, for messages.
    seed : int
        Where all generators begin.
    """

    def __init__(self, who: str, seed: int) -> None:
        self._who = who
        self._seed = seed
        self._seeded: set[str] | None = None
        self._random: RandomStates = {}
        self._settings: dict[str, Any] = {}
        self._is_inside = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Let the training run in them."""
        outer = ProcessState()
        self._enter()
        self._is_inside = True
        try:
            with seeding_imports(self._seed):
                yield
        finally:
            self._is_inside = False
            self._random = random_states()
            self._settings = outer.set_since()
            self._seeded = imported()
            # It finds again what it has set: nothing to tell, unless it stays.
            outer.put_back(self._who, is_told=False)

    @property
    def random(self) -> RandomStates:
        """Where its generators are."""
        return random_states() if self._is_inside else self._random

    @property
    def open_runs(self) -> int:
        """How many runs of MLflow's it has opened, and not ended."""
        return len(self._settings.get(ACTIVE_RUNS, ()))

    def _enter(self) -> None:
        if self._seeded is None:
            seed_process(self._seed)
        # Those that another training imported meanwhile.
        seed_packages(imported() - (self._seeded or set()), self._seed)
        put_random(self._random)
        put_settings(self._settings)
