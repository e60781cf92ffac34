"""Registries of named parts: decorators, lazy built-ins, and plugins that may be broken."""

import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Callable, Container, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from types import ModuleType
from typing import Any, Generic, TypeVar

from greenbench import builtin
from greenbench.cases import Case
from greenbench.cases.case import COMMAND
from greenbench.cases.case import OWN as OWN  # noqa: PLC0414
from greenbench.errors import (
    BrokenPluginError,
    ConfigurationError,
    GreenbenchError,
    MissingPackageError,
    UnknownNameError,
)
from greenbench.machine.places import ENTRY_POINT_GROUP, Origin, described, origin_of
from greenbench.machine.plugins import PluginFailure, advice_after, are_plugins_on, unloaded

T = TypeVar("T")

DECIDED = (
    "dataset_options",
    "backend_options",
    "validate_every",
    "batched_trials",
    "task",
    "optimizer",
    "optimizer_options",
    "schedule",
    "schedule_options",
)
"""Fields of a case that such a training decides itself."""

_FLAGS = {
    "backend": "-b (--backend)",
    "dataset": "-d (--dataset)",
    "dataset_options": "--data",
    "backend_options": "--compute",
    "optimizer_options": "--optimizer-option",
    "schedule_options": "--schedule-option",
}
"""What the command line calls fields of a case, where it is not their name."""

PART_NAME = re.compile(r"[a-z0-9_]+")


class Registry(Generic[T]):
    """Named parts of one kind.

    Built-ins are ``"module:attribute"`` strings, imported when first asked for, so that
    listing names imports nothing heavy.

    Parameters
    ----------
    kind : str
        What the parts are, for messages.
    builtins : mapping of str to str
        Name to ``"module:attribute"``.
    made : mapping of str to str, optional
        Beginning of names to ``"module:function"``, which returns the part of such a name: what
        another library has, and nobody lists here.
    """

    def __init__(
        self, kind: str, builtins: Mapping[str, str], made: Mapping[str, str] | None = None
    ) -> None:
        self.kind = kind
        self._lazy = dict(builtins)
        self._makers = dict(made or {})
        self._made: dict[str, T] = {}
        self._loaded: dict[str, T] = {}
        self._origins: dict[str, Origin] = {}

    def register(self, name: str, origin: Origin | None = None) -> Callable[[T], T]:
        """Return a decorator that registers a part under `name`.

        Parameters
        ----------
        name : str
            ``[a-z0-9_]+``; becomes part of case ids.
        origin : Origin, optional
            Where the decorator stands; by default, where this was called.

        Raises
        ------
        ConfigurationError
            If the name is malformed or taken by a part from another module.
        """
        if not PART_NAME.fullmatch(name):
            raise ConfigurationError(
                f"{self.kind} name {name!r} is not valid; use lower-case letters, digits and _"
            )

        # Where the decorator stands, not where the part's class was defined: worker
        # processes import that module to know the part, too.
        origin = origin or origin_of(sys._getframe(1))

        def decorate(part: T) -> T:
            known = self._origins.get(name, origin)
            if name in self._lazy or known.owner != origin.owner:
                owner = self._lazy.get(name) or known.owner
                raise ConfigurationError(
                    f"{self.kind} {name!r} is already registered by {owner}; choose another name"
                )
            self._loaded[name] = part
            self._origins[name] = origin
            return part

        return decorate

    def get(self, name: str) -> T:
        """Return the part called `name`, importing its module if need be.

        Raises
        ------
        UnknownNameError
            If nothing is registered under that name.
        BrokenPluginError
            If its module cannot be imported.
        """
        self.check(name)
        if name in self._loaded:
            return self._loaded[name]
        if name not in self._lazy:
            if name not in self._made:
                self._made[name] = self._import(name, self._maker(name) or "")(name)
            return self._made[name]
        self._loaded[name] = self._import(name, self._lazy[name])
        return self._loaded[name]

    def loaded(self, name: str) -> T | None:
        """Return a part that has been registered or imported already; None of another."""
        return self._loaded.get(name)

    def _import(self, name: str, target: str) -> Any:
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except GreenbenchError:
            raise
        except Exception as error:
            # Anything may be raised on import: a shared library that is gone is an OSError.
            raise BrokenPluginError(self.kind, name, described(error)) from error

    def _maker(self, name: str) -> str | None:
        is_name = PART_NAME.fullmatch(name) is not None
        makers = (each for start, each in self._makers.items() if name.startswith(start))
        return next(makers, None) if is_name else None

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted({*self._lazy, *self._loaded})

    def check(self, name: str) -> None:
        """Raise `UnknownNameError` unless `name` is registered; imports nothing.

        Whether another library has what a name begins like, only `get` finds out.
        """
        is_known = name in self._loaded or name in self._lazy
        if not is_known and self._maker(name) is None:
            # It may be of a plugin, which says so only when it can be imported.
            advice = "; ".join(map(str, broken_plugins())) or "`greenbench list` shows all"
            if not are_plugins_on():
                advice = unloaded()
            raise UnknownNameError(self.kind, name, self.names(), advice)

    def forget(self, owners: Container[str]) -> None:
        """Leave out the parts that modules of these names have registered."""
        for name in [name for name, each in self._origins.items() if each.owner in owners]:
            del self._loaded[name], self._origins[name]

    def origin(self, name: str) -> ModuleType | None:
        """Return the module that registered `name` by decorator, None for a built-in."""
        origin = self.place(name)
        return sys.modules.get(origin.owner) if origin else None

    def origins(self) -> list[Origin]:
        """Return where all parts were registered that no built-in is."""
        return list(self._origins.values())

    def place(self, name: str) -> Origin | None:
        """Return where `name` was registered by decorator, None for a built-in."""
        return self._origins.get(name)


datasets: Registry[Any] = Registry("dataset", builtin.DATASETS)
architectures: Registry[Any] = Registry(
    "architecture", builtin.ARCHITECTURES, made=builtin.MADE_ARCHITECTURES
)
backends: Registry[Any] = Registry("backend", builtin.BACKENDS)
strategies: Registry[Any] = Registry("strategy", builtin.STRATEGIES)
schedulers: Registry[Any] = Registry("scheduler", builtin.SCHEDULERS)
spaces: Registry[Any] = Registry("search space", builtin.SPACES)
tasks: Registry[Any] = Registry("task", builtin.TASKS)
optimizers: Registry[Any] = Registry("optimizer", builtin.OPTIMIZERS, made=builtin.MADE_OPTIMIZERS)
schedules: Registry[Any] = Registry("schedule", builtin.SCHEDULES)
meters: Registry[Any] = Registry("meter", builtin.METERS)
suites: Registry[Any] = Registry("suite", builtin.SUITES)

OF_OPTUNA = ("tpe", "tpe_warm", "gp", "cmaes")
"""Strategies that come with the extra ``optuna``."""

register_dataset = datasets.register
register_architecture = architectures.register
register_backend = backends.register
register_strategy = strategies.register
register_scheduler = schedulers.register
register_space = spaces.register
register_meter = meters.register
register_task = tasks.register
register_optimizer = optimizers.register
register_schedule = schedules.register
register_suite = suites.register

ALL: tuple[Registry[Any], ...] = (
    suites,
    strategies,
    schedulers,
    spaces,
    architectures,
    backends,
    datasets,
    tasks,
    optimizers,
    schedules,
    meters,
)


def check_case(case: Case) -> None:
    """Raise `UnknownNameError` if a part of `case` is not registered; imports nothing heavy."""
    check_strategy(case.strategy)
    architectures.check(case.architecture)
    backends.check(case.backend)
    if case.backend != OWN:
        datasets.check(case.dataset)
    spaces.check(case.space)
    optimizers.check(case.optimizer)
    schedules.check(case.schedule)
    if case.task is not None:
        tasks.check(case.task)


def is_training(architecture: str) -> bool:
    """Return whether this architecture is a training of somebody's own; imports nothing."""
    if (part := architectures.loaded(architecture)) is not None:
        return hasattr(part, "training")
    return architecture in builtin.TRAININGS or architecture.startswith(COMMAND)


def training_of(case: Case) -> Any:
    """Return the `greenbench.trainings.Training` of a case; None if a backend trains it."""
    if case.backend != OWN:
        return None
    part = architectures.get(case.architecture)
    of_case = getattr(part, "of_case", None)
    return part.training if of_case is None else of_case(case)


def settled(case: Case) -> Case:
    """Return a case with what its architecture decides: a training brings all but its options.

    Raises
    ------
    ConfigurationError
        If the case says what the training decides, or asks for a training that is none.
    """
    if not is_training(case.architecture):
        if case.backend != OWN:
            return case
        raise ConfigurationError(
            f"architecture {case.architecture!r} is no training of one's own, which the backend "
            f"{OWN!r} is for; choose another backend, or see register_training"
        )
    plain = Case()
    for name in ("backend", "dataset"):
        if getattr(case, name) not in (OWN, getattr(plain, name)):
            raise decides(case, name, getattr(case, name))
    for name in DECIDED:
        if getattr(case, name) != getattr(plain, name):
            raise decides(case, name, getattr(case, name))
    return replace(case, backend=OWN, dataset=OWN)


def decides(case: Case, name: str, value: object) -> ConfigurationError:
    """Return what is raised where a case says what its training decides itself."""
    flag = _FLAGS.get(name) or f"--{name.replace('_', '-')}"
    pairs = dict(value) if isinstance(value, dict | tuple) else None
    shown = repr(value) if pairs is None else ", ".join(f"{n}={v}" for n, v in pairs.items())
    return ConfigurationError(
        f"{flag} is {shown}, but training {case.architecture!r} brings its own; leave it out"
    )


def check_strategy(name: str) -> None:
    """Check the name of a strategy, with or without a scheduler; imports nothing heavy.

    Raises
    ------
    UnknownNameError
        If the strategy, or the scheduler after its plus, is not registered.
    MissingPackageError
        If the strategy comes with an extra that is not installed.
    """
    proposer, _, scheduler = name.partition("+")
    strategies.check(proposer)
    if scheduler:
        schedulers.check(scheduler)
    if proposer in OF_OPTUNA:
        for package in ("optuna", "cmaes"):
            if importlib.util.find_spec(package) is None:
                raise MissingPackageError(f"strategy {proposer!r}", package, "optuna")


def origin_files() -> list[str]:
    """Return the files of all modules that registered parts by decorator, sorted."""
    origins = [owner.place(name) for owner in ALL for name in owner.names()]
    return sorted({origin.file for origin in origins if origin and origin.file})


_failures: dict[tuple[str, ...], PluginFailure] = {}


def load_plugins() -> list[PluginFailure]:
    """Import every module of the entry-point group, once; return those that raised.

    A broken plugin never breaks greenbench: it is listed with its error, its parts are not there,
    and everything else works. Where plugins are off, none is imported.

    Raises
    ------
    ConfigurationError
        If the environment says neither on nor off.
    """
    if not are_plugins_on():
        return []
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        distribution = entry.dist.name if entry.dist else ""
        key = (distribution, entry.name, entry.value)
        if key not in _failures and (error := _import_error(entry)):
            _failures[key] = PluginFailure(entry.name, entry.value, error, distribution)
    return broken_plugins()


def broken_plugins() -> list[PluginFailure]:
    """Return the plugins that raised when they were imported; imports none."""
    return list(_failures.values())


def _import_error(entry: importlib.metadata.EntryPoint) -> str | None:
    before = set(sys.modules)
    owners = {origin.owner for each in ALL for origin in each.origins()}
    try:
        # What it prints must not get among what a command prints.
        with redirect_stdout(sys.stderr):
            entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Whoever exits, or skips as pytest's own skip does, would take everything else along.
        new = {origin.owner for each in ALL for origin in each.origins()} - owners
        for each in ALL:
            each.forget(new - set(sys.modules))
        return described(error) + advice_after(set(sys.modules) - before)
    return None
