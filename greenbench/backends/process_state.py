"""What is global in this process: read before somebody else's code runs, and put back after it.

What a framework keeps is read by a module of its own, once the framework has been imported.
"""

import gc
import importlib
import locale
import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from greenbench.architectures.spec import Native, Spec

_log = logging.getLogger(__name__)

ADVICE = "for threads there is --threads, for precision --compute"

_TABLES = {
    "torch": "greenbench.backends.torch_state",
    "keras": "greenbench.backends.keras_state",
    "jax": "greenbench.backends.jax_state",
    "tensorflow": "greenbench.backends.tensorflow_state",
}
"""By package, the module whose ``settings()`` reads it."""

_COMPUTING = (
    *("BLIS_", "CUBLAS", "CUDA_", "GOMP_", "JAX_", "KERAS_", "KMP_", "MKL_", "NPROC", "NUMEXPR_"),
    *("NVIDIA_", "OMP_", "OPENBLAS_", "PYTORCH_", "TF_", "TORCH", "VECLIB_", "XLA_"),
)
"""How environment variables begin that say how to compute."""

_OF_IMPORTS = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TORCHINDUCTOR_CACHE_DIR")
"""What importing scikit-learn or torchvision sets, wherever that happens first.

It changes nothing computed.
"""

_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)

# A setting may be put back by another one: some of torch's are two views of the same.
_PASSES = 3


@dataclass(frozen=True)
class Setting:
    """Something global that others can change.

    Attributes
    ----------
    name : str
        How people set it.
    get : callable
        Returns its value, which ``==`` compares.
    put : callable
        Sets it to such a value; may raise if it cannot.
    is_random : bool
        Whether it is the state of a random generator, which every build seeds.
    is_computing : bool
        Whether it may change what is computed or how fast; people are told of these alone.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]
    is_random: bool = False
    is_computing: bool = True


class ProcessState:
    """What was set when this was made."""

    def __init__(self) -> None:
        self._before = [(setting, _read(setting)) for setting in _settings()]

    def put_back(
        self, who: str, *, after_imports: bool = False, with_random: bool = True
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

        Returns
        -------
        list of str
            Settings that could not be put back.
        """
        kept = [
            (setting, value)
            for setting, value in self._before
            if (not after_imports or setting.is_computing or setting.is_random)
            and (with_random or not setting.is_random)
        ]
        changed = [each for each in kept if not _is(*each)]
        lasting = changed
        for _ in range(_PASSES):
            for setting, value in lasting:
                with suppress(Exception):
                    setting.put(value)
            # Putting one back may have changed another.
            lasting = [each for each in kept if not _is(*each)] if lasting else []
        names = [setting.name for setting, _ in lasting]
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
    return {setting.name: _read(setting) for setting in _settings() if setting.is_random}


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


def _tell(who: str, what: str, settings: Iterable[Setting]) -> None:
    names = [each.name for each in settings if each.is_computing and not each.is_random]
    if names:
        _say(f"{who} sets {', '.join(names)}, which {what}: no other case may meet it; {ADVICE}")


@cache
def _say(message: str) -> None:
    # Once a process: a network may do so at every step.
    _log.warning(message)


def _set_random(states: Mapping[str, Any]) -> None:
    for setting in _settings():
        if setting.is_random and setting.name in states:
            setting.put(states[setting.name])


def _settings() -> Iterator[Setting]:
    yield from _of_process()
    for package, module in _TABLES.items():
        if package in sys.modules:
            yield from _of_package(module)


@cache
def _of_package(module: str) -> tuple[Setting, ...]:
    return tuple(importlib.import_module(module).settings())


def _read(setting: Setting) -> Any:
    try:
        return setting.get()
    except Exception as error:
        # Torch refuses to read a precision that was set by half.
        return f"cannot be read: {type(error).__name__}"


def _is(setting: Setting, value: Any) -> bool:
    now = _read(setting)
    try:
        # A NaN is not equal to itself.
        return bool(now == value) or repr(now) == repr(value)
    except Exception:
        return False


@cache
def _of_process() -> tuple[Setting, ...]:
    aside = partial(Setting, is_computing=False)
    settings: Iterable[Setting] = (
        Setting("random.seed", random.getstate, random.setstate, is_random=True),
        Setting("numpy.random.seed", _numpy_state, _set_numpy_state, is_random=True),
        Setting("numpy.seterr", np.geterr, lambda kept: np.seterr(**kept)),
        Setting("os.environ", partial(_environ, True), partial(_set_environ, True)),
        aside("other os.environ", partial(_environ, False), partial(_set_environ, False)),
        aside("os.chdir", os.getcwd, os.chdir),
        aside("locale.setlocale", partial(locale.setlocale, locale.LC_ALL), _set_locale),
        aside("warnings.simplefilter", lambda: list(warnings.filters), _set_filters),
        aside("signal.signal", _handlers, _set_handlers),
        Setting("gc", lambda: (gc.isenabled(), gc.get_threshold()), _set_gc),
        Setting("sys.settrace", sys.gettrace, sys.settrace),
        Setting("sys.setprofile", sys.getprofile, sys.setprofile),
        Setting("sys.setswitchinterval", sys.getswitchinterval, sys.setswitchinterval),
        Setting("sys.setrecursionlimit", sys.getrecursionlimit, sys.setrecursionlimit),
    )
    if hasattr(os, "sched_getaffinity"):
        affinity = partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0)
        settings = (*settings, Setting("os.sched_setaffinity", *affinity))
    if hasattr(os, "getpriority"):
        which = os.PRIO_PROCESS, 0
        priority = partial(os.getpriority, *which), partial(os.setpriority, *which)
        settings = (*settings, Setting("os.nice", *priority))
    return tuple(settings)


def _numpy_state() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    return name, np.asarray(keys).tobytes(), *rest


def _set_numpy_state(state: tuple[Any, ...]) -> None:
    name, keys, *rest = state
    np.random.set_state((name, np.frombuffer(keys, np.uint32), *rest))


def _environ(is_computing: bool) -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_COMPUTING) == is_computing and name not in _OF_IMPORTS
    }


def _set_environ(is_computing: bool, kept: Mapping[str, str]) -> None:
    for name in set(_environ(is_computing)) - set(kept):
        del os.environ[name]
    os.environ.update(kept)


def _set_locale(kept: str) -> None:
    locale.setlocale(locale.LC_ALL, kept)


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in _SIGNALS}


def _set_handlers(kept: dict[int, Any]) -> None:
    for number, handler in kept.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _set_filters(kept: list[Any]) -> None:
    warnings.filters[:] = kept  # type: ignore[index]


def _set_gc(kept: tuple[bool, tuple[int, int, int]]) -> None:
    is_enabled, threshold = kept
    gc.set_threshold(*threshold)
    (gc.enable if is_enabled else gc.disable)()
