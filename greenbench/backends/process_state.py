"""What is global in this process: read before somebody else's code runs, and put back after it.

What a framework keeps is read by a module of its own, once the framework has been imported.
"""

import logging
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np

from greenbench.architectures.spec import Native, Spec
from greenbench.backends.late_imports import fresh
from greenbench.backends.process_settings import Setting, all_settings, imported, is_set, read

_log = logging.getLogger(__name__)

ADVICE = "for threads there is --threads, for precision --compute"

# A setting may be put back by another one: some of torch's are two views of the same.
_PASSES = 3


class ProcessState:
    """What was set when this was made."""

    def __init__(self) -> None:
        self._known = imported()
        self._before = [(setting, read(setting)) for setting in all_settings()]

    def set_since(self) -> dict[str, Any]:
        """Return what is set otherwise now, by name; random generators are none of it."""
        return {
            setting.name: read(setting)
            for setting, value in self._all()
            if not setting.is_random and not is_set(setting, value)
        }

    def has_drawn(self) -> bool:
        """Return whether a random generator that all code shares is not where it was."""
        return any(each.is_random and not is_set(each, value) for each, value in self._all())

    def _all(self) -> list[tuple[Setting, Any]]:
        """Return what was set, that of packages included which were imported since."""
        late = [each for name in imported() - self._known for each in fresh.get(name, ())]
        return [*self._before, *late]

    def put_back(
        self,
        who: str,
        *,
        after_imports: bool = False,
        with_random: bool = True,
        is_told: bool = True,
    ) -> list[str]:
        """Set everything as it was, and say what `who` had changed in how is computed.

        Parameters
        ----------
        who : str
            Whose code ran in between, for the message.
        after_imports : bool
            Leave what says nothing of computing: modules may set such for their own sake.
        with_random : bool
            Random generators, too; else they go on from where they are.
        is_told : bool
            Whether to say also what could be put back.

        Returns
        -------
        list of str
            Settings that could not be put back.
        """
        kept = [
            (setting, value)
            for setting, value in self._all()
            if (not after_imports or setting.is_computing or setting.is_random)
            and (with_random or not setting.is_random)
        ]
        changed = [each for each in kept if not is_set(*each)]
        lasting = changed
        for _ in range(_PASSES):
            for setting, value in lasting:
                with suppress(Exception):
                    setting.put(value)
            # Putting one back may have changed another.
            lasting = [each for each in kept if not is_set(*each)] if lasting else []
        names = [setting.name for setting, _ in lasting]
        if is_told:
            _tell(who, "was put back", [each for each, _ in changed if each.name not in names])
        _tell(who, "could not be put back", [each for each, _ in lasting])
        return names


@contextmanager
def state_kept(who: str) -> Iterator[ProcessState]:
    """Let nothing be left behind by what runs inside; gives what is put back at the end."""
    state = ProcessState()
    try:
        yield state
    finally:
        state.put_back(who)


RandomStates = dict[str, Any]
"""States of all random generators, by name."""


def random_states() -> RandomStates:
    """Return where the process's random generators are."""
    return {setting.name: read(setting) for setting in all_settings() if setting.is_random}


@contextmanager
def random_numbers_of(states: RandomStates, *, goes_on: bool = True) -> Iterator[None]:
    """Draw from where a model left off: what others drew must not change it, nor it others.

    Parameters
    ----------
    states : dict
        Where it is.
    goes_on : bool
        Whether to keep in `states` where it is afterwards.
    """
    outer = random_states()
    _set_random(states)
    try:
        yield
        if goes_on:
            states.update(random_states())
    finally:
        _set_random(outer)


class OwnState:
    """What the code of one model runs in: it finds its own random numbers, and leaves nothing.

    The layers of a spec are our own: they set nothing, and only dropout draws.

    Parameters
    ----------
    architecture : Spec or Native
        Of the model, which has just been built.
    """

    def __init__(self, architecture: Spec | Native) -> None:
        self._who = f"architecture {architecture.name!r}"
        draws = isinstance(architecture, Native) or architecture.draws
        self._states = random_states() if draws else None

    @contextmanager
    def __call__(self, *, goes_on: bool) -> Iterator[None]:
        """Run its code; see `random_numbers_of`."""
        if self._states is None:
            yield
            return
        with state_kept(self._who), random_numbers_of(self._states, goes_on=goes_on):
            yield


def seed_process(seed: int) -> None:
    """Seed Python's and NumPy's generators, for code that does not take a seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def put_settings(values: Mapping[str, Any]) -> None:
    """Set what is named as it was read; what cannot be set is left."""
    for setting in all_settings():
        if setting.name in values:
            with suppress(Exception):
                setting.put(values[setting.name])


def put_random(states: RandomStates) -> None:
    """Put random generators where they were; one that is not there is left out."""
    _set_random(states)


def _tell(who: str, what: str, settings: Iterable[Setting]) -> None:
    names = [each.name for each in settings if each.is_computing and not each.is_random]
    if names:
        _say(f"{who} sets {', '.join(names)}, which {what}: no other case may meet it; {ADVICE}")


@cache
def _say(message: str) -> None:
    # Once a process: a network may do so at every step.
    _log.warning(message)


def _set_random(states: Mapping[str, Any]) -> None:
    for setting in all_settings():
        if setting.is_random and setting.name in states:
            setting.put(states[setting.name])
