"""Sources: which files the code of registered parts lies in, found without running any."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

INSTALLED = {"site-packages", "dist-packages"}
"""Folders of what pip installs: its version says which code it is."""
PACKAGE_FILE = "__init__.py"


@dataclass
class Sources:
    """What the parts of some cases are made of.

    Attributes
    ----------
    files : dict of str to Path
        The user's own modules: those that register parts, and all that these import, at
        whichever place in their code, and so on. By name, such as ``"pkg/blocks.py"``.
    packages : set of str
        Installed ones that they import, by the name that is imported.
    """

    files: dict[str, Path] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)

    def digests(self) -> dict[str, str]:
        """Return the digest of each file."""
        return {name: digest_files([path]) for name, path in sorted(self.files.items())}


def sources_of(modules: Iterable[Mapping[str, str]], scripts: Iterable[Path] = ()) -> Sources:
    """Return what some modules are made of.

    Parameters
    ----------
    modules : iterable of dict
        ``name`` and ``file``, as of `greenbench.running.parts.registering_modules`.
    scripts : iterable of pathlib.Path
        Files that others than us run; one in Python imports from its own folder first.
    """
    found = _sources_of(modules)
    for script in scripts:
        with _importing_from(script.parent):
            its = _sources_of([{"name": script.stem, "file": str(script)}])
        # Scripts are called by their path: two folders may have one each of the same name.
        found.files |= {**its.files, str(script): its.files.pop(script.name)}
        found.packages |= its.packages
    return found


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder.absolute()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.absolute()))


def _sources_of(modules: Iterable[Mapping[str, str]]) -> Sources:
    found = Sources()
    listed = [(module["name"], Path(module["file"])) for module in modules]
    tops = {name.partition(".")[0] for name, _ in listed}
    seen = {name for name, _ in listed}
    waiting = list(listed)
    while waiting:
        name, path = waiting.pop()
        found.files[_shown(name, path)] = path
        for imported in _imports(name, path):
            if imported in seen or imported.partition(".")[0] in ("", "greenbench"):
                continue
            seen.add(imported)
            spec = _find(imported)
            if spec is None or not spec.has_location or spec.origin is None:
                continue
            top = imported.partition(".")[0]
            if top in sys.stdlib_module_names:
                continue
            if top not in tops and INSTALLED & set(Path(spec.origin).parts):
                found.packages.add(top)
            else:
                waiting.append((imported, Path(spec.origin)))
    return found


def digest_files(paths: Iterable[Path]) -> str:
    """Return the first 16 hex digits of the SHA-256 over some files; one that is gone counts."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()[:16]


def _shown(name: str, path: Path) -> str:
    parts = name.split(".")
    return "/".join([*parts, path.name] if path.name == PACKAGE_FILE else [*parts[:-1], path.name])


def _imports(name: str, path: Path) -> Iterator[str]:
    """Yield what a module may import, and the packages that lie around it."""
    # Importing a module runs the code of the packages that it lies in.
    yield from _with_parents(name)
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    package = name if path.name == PACKAGE_FILE else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if node.level else []
            parts = parts[: len(parts) - node.level + 1] if node.level else parts
            module = ".".join([*filter(None, parts), *filter(None, [node.module])])
            yield from _with_parents(module)
            # What is imported may be a module, too.
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1) if name)


def _find(name: str) -> ModuleSpec | None:
    """Find a module without importing the packages that it lies in."""
    parent, _, _ = name.rpartition(".")
    if parent:
        package = _find(parent)
        if package is None or package.submodule_search_locations is None:
            return None
        return PathFinder.find_spec(name, list(package.submodule_search_locations))
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, None)
        except (ImportError, AttributeError, ValueError):
            continue
        if spec is not None:
            return spec
    return None
