"""Selection: which cases a command line or a pytest run asks for."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from greenbench import registry
from greenbench.cases import Case, Scalar, freeze_options, matrix, split_network
from greenbench.cases.spelling import spelled_once
from greenbench.errors import ConfigurationError
from greenbench.machine.places import at, calling

DEFAULT_SUITE = "ci"
ADHOC_SUITE = "adhoc"


@dataclass(frozen=True)
class Selection:
    """What is asked for: a suite's cases, or a matrix of parts.

    With a suite, parts select among its cases. Without one, but with parts, cases are made
    of them. Without either, the ``ci`` suite is meant.

    Attributes
    ----------
    suite : str or None
        Name of a suite.
    strategies, networks, backends, datasets : sequence of str
        Parts; a network may have a size: ``simple_cnn.m``.
    pattern : str or None
        Glob that case ids must match.
    budget : mapping
        Fields of `Case` to set: ``trials``, ``epochs``, ``batch_size``, ``repeats``,
        ``space``, ``seed``, ``validate_every``, ``reevaluate``, ``threads``,
        ``batched_trials``, ``backend_options``, ``task``, ``optimizer``, ``optimizer_options``,
        ``schedule``, ``schedule_options``, ``devices``; None leaves them alone.
    architecture_options, dataset_options : mapping
        Only without a suite.
    listed : sequence of Case or None
        The cases to select among instead of the suite's.
    data_dir : pathlib.Path or None
        What relative folders of data sets start from; None leaves them as they are spelled.
    """

    suite: str | None = None
    strategies: Sequence[str] = ()
    networks: Sequence[str] = ()
    backends: Sequence[str] = ()
    datasets: Sequence[str] = ()
    pattern: str | None = None
    budget: Mapping[str, Any] = field(default_factory=dict)
    architecture_options: Mapping[str, Scalar] = field(default_factory=dict)
    dataset_options: Mapping[str, Scalar] = field(default_factory=dict)
    listed: Sequence[Case] | None = None
    data_dir: Path | None = None

    @property
    def suite_name(self) -> str:
        """Under which suite results are kept."""
        return self.suite or (ADHOC_SUITE if self._has_parts else DEFAULT_SUITE)

    def cases(self) -> list[Case]:
        """Return the selected cases.

        Raises
        ------
        ConfigurationError
            If names are unknown, options contradict each other, or no case is left.
        """
        self._check_names()
        budget = {name: value for name, value in self.budget.items() if value is not None}
        if _once(self.strategies) == ("default",):
            self._check_default(budget)
        is_suite = self.suite is not None or not self._has_parts
        cases = self._of_suite(budget) if is_suite else self._of_parts(budget)
        self._check_trainings(cases, budget)
        cases = [registry.settled(case) for case in cases]
        if self.data_dir is not None:
            cases = [spelled_once(case, self.data_dir) for case in cases]
        if self.pattern is not None:
            cases = [case for case in cases if fnmatch(case.id, self.pattern)]
        if not cases:
            raise ConfigurationError(
                f"no case of {self.suite_name!r} matches {self._asked()}; "
                "`greenbench list` shows what there is"
            )
        return cases

    @property
    def _has_parts(self) -> bool:
        named = (*self.strategies, *self.networks, *self.backends, *self.datasets)
        return bool(named or self.architecture_options or self.dataset_options)

    def _of_suite(self, budget: Mapping[str, Any]) -> list[Case]:
        if self.architecture_options or self.dataset_options:
            raise ConfigurationError(
                f"--set and --data change what a case is and cannot be used with the suite "
                f"{self.suite!r}; name the parts instead, with --architecture and --dataset"
            )
        listed = self.listed
        if listed is None:
            listed = cases_of_suite(self.suite or DEFAULT_SUITE)
        return [replace(case, **budget) for case in listed if self._is_wanted(case)]

    def _of_parts(self, budget: Mapping[str, Any]) -> list[Case]:
        return [
            case
            for dataset in _once(self.datasets) or ("digits",)
            for case in matrix(
                _once(self.strategies) or ("default",),
                _once(self.networks) or ("simple_cnn",),
                _once(self.backends) or ("torch",),
                dataset=dataset,
                architecture_options=freeze_options(self.architecture_options),
                dataset_options=freeze_options(self.dataset_options),
                **budget,
            )
        ]

    def _is_wanted(self, case: Case) -> bool:
        return (
            (not self.strategies or case.strategy in self.strategies)
            and (
                not self.networks
                or case.network in self.networks
                or case.architecture in self.networks
            )
            and (not self.backends or case.backend in self.backends)
            and (not self.datasets or case.dataset in self.datasets)
        )

    def _check_names(self) -> None:
        if self.suite is not None:
            registry.suites.check(self.suite)
        for name in self.strategies:
            registry.check_strategy(name)
        for name in self.networks:
            registry.architectures.check(split_network(name)[0])
        for name in self.backends:
            registry.backends.check(name)
        for name in self.datasets:
            if name != registry.OWN:
                registry.datasets.check(name)
        for owner in (registry.tasks, registry.optimizers, registry.schedules):
            if (named := self.budget.get(owner.kind)) is not None:
                owner.check(named)

    def _check_trainings(self, cases: Sequence[Case], budget: Mapping[str, Any]) -> None:
        """Refuse what a training decides itself, even where it is what is usual elsewhere."""
        trainings = [case for case in cases if registry.is_training(case.architecture)]
        if not trainings:
            return
        typed = {"backend": self.backends, "dataset": self.datasets}
        given: dict[str, Any] = {name: names[0] for name, names in typed.items() if names}
        given |= {name: budget[name] for name in registry.DECIDED if name in budget}
        if self.dataset_options:
            given["dataset_options"] = dict(self.dataset_options)
        for name, value in given.items():
            if value != registry.OWN:
                raise registry.decides(trainings[0], name, value)

    def _check_default(self, budget: Mapping[str, Any]) -> None:
        if budget.get("trials", 1) != 1:
            raise ConfigurationError(
                f"--trials {budget['trials']} contradicts --strategy default, which tries one "
                "configuration; leave --trials out, or choose a search strategy"
            )

    def _asked(self) -> str:
        asked = [*self.strategies, *self.networks, *self.backends, *self.datasets]
        return ", ".join([*asked, *([self.pattern] if self.pattern else [])])


def _once(names: Sequence[str]) -> tuple[str, ...]:
    """Return names in their order, each once: to name one again asks for nothing more."""
    return tuple(dict.fromkeys(names))


def cases_of_suite(name: str) -> list[Case]:
    """Return the cases of a registered suite.

    Raises
    ------
    UnknownNameError
        If there is no suite of that name.
    ConfigurationError
        If its function raises, or returns something else.
    """
    function = registry.suites.get(name)
    with calling(f"suite {name!r}", function, ConfigurationError):
        cases = function()
        if isinstance(cases, str) or not isinstance(cases, Iterable):
            cases = [cases]
        listed = list(cases)
    for case in listed:
        if not isinstance(case, Case):
            raise ConfigurationError(
                f"suite {name!r} returned {case!r}; expected a list of Case{at(function)}"
            )
    return listed


def case_ids(suite: str, data_dir: Path) -> list[str]:
    """Return the ids of a suite's cases, under which they run."""
    return [spelled_once(case, data_dir).id for case in cases_of_suite(suite)]


def known_case_ids(data_dir: Path) -> list[str]:
    """Return the ids of all cases of all suites that can be listed, each once."""
    found: dict[str, None] = {}
    for name in registry.suites.names():
        # A suite of somebody's that is broken says so when it is listed or run.
        with suppress(Exception):
            found.update(dict.fromkeys(case_ids(name, data_dir)))
    return list(found)


def cases_by_suite(suites: Iterable[str], data_dir: Path) -> dict[str, list[str]]:
    """Return the ids of the cases of some suites, without those that cannot be listed."""
    found: dict[str, list[str]] = {}
    for name in sorted(set(suites)):
        with suppress(Exception):
            found[name] = case_ids(name, data_dir)
    return found


def parse_pairs(pairs: Sequence[str], flag: str) -> dict[str, str]:
    """Split ``name=value`` pairs.

    Parameters
    ----------
    pairs : sequence of str
        As typed.
    flag : str
        For messages.

    Raises
    ------
    ConfigurationError
        If a pair has no ``=``, a name comes twice, or a value cannot be written down.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"{flag} is {pair!r}; expected name=value")
        if name in found:
            raise ConfigurationError(f"{flag} sets {name!r} twice; choose one value")
        if re.search("[\ud800-\udfff]", pair):
            # As such halves of letters bytes arrive that are no UTF-8; they cannot be written.
            raise ConfigurationError(f"{flag} is {pair!r}; expected text in UTF-8")
        found[name] = text
    return found


def parse_options(pairs: Sequence[str], flag: str) -> dict[str, Scalar]:
    """Split ``name=value`` pairs, and read values as bool, int, float or text."""
    return {name: read_scalar(text) for name, text in parse_pairs(pairs, flag).items()}


def read_scalar(text: str) -> Scalar:
    """Read a text as true, false, a whole number or a number, if it is one."""
    words: dict[str, Scalar] = {"true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
