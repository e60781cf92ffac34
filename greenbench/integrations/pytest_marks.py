"""The mark `greenbench`: which cases a test carries, and the suite that they make."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from greenbench import registry
from greenbench.cases import Case
from greenbench.errors import ConfigurationError
from greenbench.machine.places import Origin

NAME = "greenbench"


@dataclass(frozen=True)
class Marked:
    """What a mark says.

    Attributes
    ----------
    cases : list of Case
        What its tests run.
    suite : str or None
        Under which name; None for whatever is asked for.
    """

    cases: list[Case]
    suite: str | None = None


@dataclass(frozen=True)
class SuiteOfMarks:
    """A suite: the cases of all marks of a file that name it, each once."""

    cases: dict[Case, None] = field(default_factory=dict)

    def __call__(self) -> list[Case]:
        """Return the cases, in the order in which marks name them."""
        return [*self.cases]


def marked(item: pytest.Item) -> Marked | None:
    """Return what the nearest mark of a test says, if it has one that says anything.

    Raises
    ------
    ConfigurationError
        If it does not say it as it must.
    """
    mark = item.get_closest_marker(NAME)
    return None if mark is None else _read(mark, item.nodeid)


def suite_of(item: pytest.Item, asked: str) -> str:
    """Return under which suite a test's results are kept: its mark's, or what is asked for."""
    found = marked(item)
    return found.suite if found and found.suite else asked


def register_suites(module: ModuleType) -> None:
    """Register the suites that marks in a module make.

    Parameters
    ----------
    module : module
        A file of tests, imported.

    Raises
    ------
    ConfigurationError
        If a mark does not say what it must, or the name of a suite is malformed or taken.
    """
    found: dict[tuple[str, str], SuiteOfMarks] = {}
    for owner, where, mark in _marks(module):
        said = _read(mark, where)
        if said is not None and said.suite is not None:
            suite = found.setdefault((owner, said.suite), SuiteOfMarks())
            suite.cases.update(dict.fromkeys(said.cases))
    for (owner, name), suite in found.items():
        file = getattr(sys.modules.get(owner, module), "__file__", None)
        place = registry.suites.place(name)
        if place and not isinstance(registry.suites.get(name), SuiteOfMarks):
            raise ConfigurationError(
                f"suite {name!r} of a mark in {file} is already registered ({place.place}); choose "
                "another name"
            )
        registry.suites.register(name, Origin(owner, owner, file, str(file)))(suite)


def _marks(module: ModuleType) -> Iterator[tuple[str, str, pytest.Mark]]:
    """Yield the marks of a module, its tests and its classes: whose they are, where, and they."""
    of_file = f"{module.__file__}"
    yield from ((module.__name__, of_file, mark) for mark in _on(module))
    for name, part in list(vars(module).items()):
        # One that is imported from another file of tests is that one's.
        owner = str(getattr(part, "__module__", module.__name__))
        inner = list(vars(part).items()) if isinstance(part, type) else []
        for each, where in [(part, name), *((value, f"{name}::{n}") for n, value in inner)]:
            yield from ((owner, f"{of_file}::{where}", mark) for mark in _on(each))


def _on(part: Any) -> list[pytest.Mark]:
    found = getattr(part, "__dict__", {}).get("pytestmark", ())
    listed = found if isinstance(found, list | tuple) else [found]
    marks = [getattr(each, "mark", each) for each in listed]
    return [each for each in marks if isinstance(each, pytest.Mark) and each.name == NAME]


def _read(mark: pytest.Mark, where: str) -> Marked | None:
    if not (mark.args or mark.kwargs):
        return None
    cases = mark.kwargs.get("cases", next(iter(mark.args), None))
    suite = mark.kwargs.get("suite")
    if not isinstance(cases, Iterable) or not all(isinstance(case, Case) for case in (*cases,)):
        raise ConfigurationError(
            f"the mark greenbench of {where} has {cases!r}; expected a list of Case"
        )
    if suite is not None and not isinstance(suite, str):
        raise ConfigurationError(
            f"the mark greenbench of {where} has the suite {suite!r}; expected a name"
        )
    return Marked([*cases], suite)
