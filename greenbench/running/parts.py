"""The user's own parts of cases: which modules register them, and how a worker imports those."""

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from greenbench import registry
from greenbench.cases import Case
from greenbench.errors import ConfigurationError
from greenbench.machine.places import Origin, described, is_installed

PACKAGE_FILE = "__init__.py"


class EnoughError(BaseException):
    """A script that registers parts has come to where it runs cases, which a worker leaves out.

    No `Exception`, so that the script itself does not catch it.
    """


class _Importing:
    """Whether this process imports the user's modules for their parts."""

    is_on = False


def stop_import() -> None:
    """End the import of a script here, if it is imported for its parts.

    So a script needs no ``if __name__ == "__main__"`` around what runs cases.
    """
    if _Importing.is_on:
        raise EnoughError


def registering_modules(cases: Iterable[Case], meter_names: Iterable[str]) -> list[dict[str, str]]:
    """Return the modules that registered parts of some cases by decorator.

    Parameters
    ----------
    cases : iterable of Case
        Which parts.
    meter_names : iterable of str
        Meters that they are measured with.

    Returns
    -------
    list of dict
        ``name``, under which a worker imports the module, and ``file``; sorted by name.

    Raises
    ------
    ConfigurationError
        If a part was registered in no file.
    """
    files = {}
    for kind, name, origin in _own_parts(cases, meter_names):
        if origin.file is None:
            raise ConfigurationError(
                f"{kind} {name!r} is registered in no file, as in a notebook's cell, so that no "
                "worker can import it; write it into a file, such as my_parts.py, and import that"
            )
        files[origin.file] = origin.module
    return [{"name": name, "file": file} for name, file in sorted((n, f) for f, n in files.items())]


def own_parts(cases: Iterable[Case], meter_names: Iterable[str]) -> list[dict[str, str]]:
    """Return ``kind``, ``name`` and ``place`` of the parts that these modules register."""
    return [
        {"kind": kind, "name": name, "place": origin.place}
        for kind, name, origin in _own_parts(cases, meter_names)
    ]


def modules_in_sight() -> dict[str, str]:
    """Return the files of the user's modules that this process has imported, by name.

    Whatever put them there, such as a ``conftest.py``, need not run in a worker.
    """
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return {
        name: file
        for name, file in files.items()
        if isinstance(file, str) and name != "__main__" and not is_installed(file)
    }


def import_parts(
    modules: Iterable[Mapping[str, str]],
    in_sight: Mapping[str, str],
    parts: Iterable[Mapping[str, str]],
) -> bool:
    """Import modules that register parts, as the parent did; return whether any was new.

    Parameters
    ----------
    modules : iterable of dict
        As of `registering_modules`.
    in_sight : mapping of str to str
        Files of modules that they may import, though no search path leads there.
    parts : iterable of dict
        As of `own_parts`; what must be registered then.

    Raises
    ------
    ConfigurationError
        If a module cannot be imported, or a part is not registered.
    """
    modules = list(modules)
    before = len(sys.modules)
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _InSight)]
    sys.meta_path.append(_InSight({**{m["name"]: m["file"] for m in modules}, **in_sight}))
    for module in modules:
        try:
            _Importing.is_on = True
            _import(module["name"], module["file"])
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise ConfigurationError(
                f"{module['file']} registers parts of a case, and a worker cannot import it: "
                f"{described(error)}"
            ) from error
        finally:
            _Importing.is_on = False
    for part in parts:
        if part["name"] not in _names(part["kind"]):
            raise ConfigurationError(
                f"{part['kind']} {part['name']!r} ({part['place']}) is not registered when a "
                "worker imports that file: do it while the module is imported, not in a function "
                "that something else calls, nor under `if __name__ == '__main__'`"
            )
    return len(sys.modules) > before


class _InSight(MetaPathFinder):
    """Finds modules that the parent has, where no search path leads; asked last."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, or the folder of a package of which a module is known."""
        if fullname in self._files:
            return importlib.util.spec_from_file_location(fullname, self._files[fullname])
        inner = next((name for name in self._files if name.startswith(f"{fullname}.")), None)
        if inner is None:
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        levels = inner.count(".") - fullname.count(".") - 1
        file = Path(self._files[inner])
        levels += file.name == PACKAGE_FILE
        spec.submodule_search_locations = [str(file.parents[levels])]
        return spec


def _own_parts(
    cases: Iterable[Case], meter_names: Iterable[str]
) -> Iterator[tuple[str, str, Origin]]:
    asked: list[tuple[registry.Registry[Any], str]]
    asked = [(registry.meters, name) for name in meter_names]
    for case in cases:
        asked += [
            (registry.architectures, case.architecture),
            (registry.datasets, case.dataset),
            (registry.strategies, case.proposer),
            (registry.schedulers, case.scheduler or ""),
            (registry.spaces, case.space),
            (registry.backends, case.backend),
            (registry.tasks, case.task or ""),
            (registry.optimizers, case.optimizer),
            (registry.schedules, case.schedule),
        ]
    for owner, name in dict.fromkeys(asked):
        if origin := owner.place(name):
            yield owner.kind, name, origin


def _names(kind: str) -> list[str]:
    return next((owner.names() for owner in registry.ALL if owner.kind == kind), [])


def _import(name: str, file: str) -> None:
    """Import a module under the name that it has in the parent, or another if that is taken."""
    known = sys.modules.get(name)
    if known is not None:
        if _is_same(getattr(known, "__file__", None), file):
            return
        # Such as a second conftest.py, or a module that is called like one of Python's own.
        name = f"{name}_{hashlib.sha256(file.encode()).hexdigest()[:8]}"
        if name in sys.modules:
            return
    elif _is_same(_found(name), file):
        _import_found(name)
        return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError("it is no module of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except EnoughError:
        return
    except BaseException:
        del sys.modules[name]
        raise


def _import_found(name: str) -> None:
    try:
        importlib.import_module(name)
    except EnoughError as stop:
        # Python takes it for a failure, and forgets the module, whose parts are registered.
        sys.modules.setdefault(name, _imported(stop, name))


def _imported(stop: EnoughError, name: str) -> ModuleType:
    """Return the module whose import was ended, with all that it has defined."""
    module = ModuleType(name)
    for frame, _ in traceback.walk_tb(stop.__traceback__):
        if frame.f_globals.get("__name__") == name:
            module.__dict__.update(frame.f_globals)
    return module


def _found(name: str) -> str | None:
    """Return the file that an import of a module would take; its packages are imported."""
    try:
        spec = importlib.util.find_spec(name)
    except Exception:
        # Its package may not be one here.
        return None
    return spec.origin if spec else None


def _is_same(one: str | None, other: str) -> bool:
    return one is not None and Path(one).resolve() == Path(other).resolve()
