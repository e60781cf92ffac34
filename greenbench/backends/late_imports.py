"""Late imports: frameworks that somebody's code imports while it runs, seeded at once."""

import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from greenbench.backends.process_settings import TABLES, Setting, of_package, read
from greenbench.machine.importing import followed

fresh: dict[str, list[tuple[Setting, Any]]] = {}
"""By package, what it had set when it had just been imported."""
_seeds: list[int] = []
"""Innermost last: what packages are seeded with that are imported just now."""


@contextmanager
def seeding_imports(seed: int) -> Iterator[None]:
    """Seed frameworks as soon as they are imported inside, and know how they were set then.

    Whoever imports one late would meet generators that nobody has seeded, and leave behind what
    nobody knows to be changed.
    """
    if not any(isinstance(finder, _Imports) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Imports())
    _seeds.append(seed)
    try:
        yield
    finally:
        _seeds.pop()


class _Imports(MetaPathFinder):
    """Is asked for every module, and looks at frameworks once they have been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in TABLES or not _seeds:
            return None
        others = (each for each in sys.meta_path if not isinstance(each, _Imports))
        found = (each.find_spec(fullname, path, target) for each in others)
        spec = next((each for each in found if each is not None), None)
        return followed(spec, lambda _: _look_at(fullname))


def _look_at(package: str) -> None:
    module = TABLES[package]
    fresh[package] = [(each, read(each)) for each in of_package(module)]
    if _seeds:
        _seed_package(module, _seeds[-1])


def seed_packages(packages: Iterable[str], seed: int) -> None:
    """Seed frameworks that have been imported."""
    for package in packages:
        _seed_package(TABLES[package], seed)


def _seed_package(module: str, seed: int) -> None:
    if put := getattr(importlib.import_module(module), "seed", None):
        put(seed)
