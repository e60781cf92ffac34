"""Settings that are global in this process: which there are, and how they are read and set.

What a framework keeps is read by a module of its own, once the framework has been imported.
"""

import gc
import importlib
import locale
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

ACTIVE_RUNS = "mlflow.start_run"

TABLES = {
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


def imported() -> set[str]:
    """Return the frameworks that have been imported."""
    return {package for package in TABLES if package in sys.modules}


def all_settings() -> Iterator[Setting]:
    """Yield all that can be read now."""
    yield from _of_process()
    for package, module in TABLES.items():
        if package in sys.modules:
            yield from of_package(module)


@cache
def of_package(module: str) -> tuple[Setting, ...]:
    """Return the settings of a framework, by the module that knows them."""
    return tuple(importlib.import_module(module).settings())


def read(setting: Setting) -> Any:
    """Return what something is set to, or that it cannot be read."""
    try:
        return setting.get()
    except Exception as error:
        # Torch refuses to read a precision that was set by half.
        return f"cannot be read: {type(error).__name__}"


def is_set(setting: Setting, value: Any) -> bool:
    """Return whether something is set to a value."""
    now = read(setting)
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
        aside(ACTIVE_RUNS, _active_runs, _set_active_runs),
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


def _active_runs() -> list[Any]:
    """Return the runs that somebody's own code has opened in MLflow, and not ended."""
    stack = _run_stack()
    return [] if stack is None else list(stack)


def _set_active_runs(kept: list[Any]) -> None:
    stack = _run_stack()
    if stack is not None:
        stack[:] = kept


def _run_stack() -> list[Any] | None:
    # Looked up, not imported: who has opened none need not have MLflow.
    fluent = sys.modules.get("mlflow.tracking.fluent")
    stack: Any = getattr(fluent, "_active_run_stack", None)
    found = stack.get() if hasattr(stack, "get") else stack
    return found if isinstance(found, list) else None


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
