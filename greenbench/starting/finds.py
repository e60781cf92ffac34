"""What a project trains, found by reading its sources; nothing of it is imported."""

import ast
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

Kind = Literal["lightning", "torch", "keras", "script"]

ROOTS: Mapping[str, tuple[str, ...]] = {
    "lightning": ("LightningModule",),
    "data": ("LightningDataModule",),
    "torch": ("nn.Module", "nn.Sequential"),
    "keras": ("keras.Model", "tf.keras.Model", "tensorflow.keras.Model"),
}
"""What classes derive from, as people write it; `_spelled` undoes their imports."""
_BUILDERS = ("keras.Sequential", "keras.Model", "keras.models.Sequential", "keras.models.Model")
_LEFT_OUT = {"build", "dist", "env", "node_modules", "site-packages", "venv", "tests", "benchmarks"}
_MOST_FILES = 2_000
_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Find:
    """Something that can be trained.

    Attributes
    ----------
    kind : {"lightning", "torch", "keras", "script"}
        What it is: a class of Lightning's, a module of torch's, a class or a function that gives
        a model of Keras's, or a program.
    name : str
        Of the class or the function; of a program its file, without its ending.
    file : pathlib.Path
        Relative to the project.
    line : int
        Where it begins.
    module, folder : str
        How it is imported, and from which folder, relative to the project.
    needs : tuple of str
        What it must be called with.
    data : tuple of str
        Module and class of Lightning's data, if there is one.
    flags : tuple of str
        What a program takes, such as ``--lr``.
    logged : tuple of str
        What a module of Lightning's logs by name.
    engine : bool
        Whether its file says on which engine Keras is.
    """

    kind: Kind
    name: str
    file: Path
    line: int
    module: str
    folder: str
    needs: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    logged: tuple[str, ...] = ()
    engine: bool = False

    @property
    def place(self) -> str:
        """How people choose it: ``model.py:Net``."""
        return self.file.as_posix() + ("" if self.kind == "script" else f":{self.name}")


@dataclass
class _Source:
    file: Path
    module: str
    folder: str
    tree: ast.Module
    names: Mapping[str, str] = field(default_factory=dict)


def find(root: Path) -> list[Find]:
    """Return what a project trains, the likeliest first.

    Parameters
    ----------
    root : pathlib.Path
        Its folder. Tests, environments and hidden folders in it are left out, and so is what is
        no Python.
    """
    sources = list(_sources(root))
    classes = {name: bases for source in sources for name, bases in _classes(source)}
    found = [each for source in sources for each in _finds(source, classes)]
    data = [
        (source.module, node.name)
        for source in sources
        for node in source.tree.body
        if isinstance(node, ast.ClassDef) and _is_a(node.name, "data", classes)
    ]
    parts = _parts(sources, {each.name for each in found})
    order = ("lightning", "torch", "keras", "script")
    known = [
        _with_data(each, data) if each.kind == "lightning" else each
        for each in found
        if each.name not in parts or each.kind == "script"
    ]
    return sorted(known, key=lambda each: (bool(each.needs), order.index(each.kind), each.place))


def _sources(root: Path) -> Iterator[_Source]:
    files = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            each
            for each in folders
            if not each.startswith(".")
            and each not in _LEFT_OUT
            and not (Path(folder) / each / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            path = Path(folder) / name
            if path.suffix != ".py" or files >= _MOST_FILES:
                continue
            files += 1
            if tree := _parsed(path):
                yield _source(root, path, tree)


def _parsed(path: Path) -> ast.Module | None:
    """Return the tree of a file; None of one that is none, or that is too large to be written."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _source(root: Path, path: Path, tree: ast.Module) -> _Source:
    package = path.parent
    while package != root and (package / "__init__.py").exists():
        package = package.parent
    parts = path.relative_to(package).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    folder = package.relative_to(root).as_posix()
    return _Source(path.relative_to(root), module, folder, tree, _imported(tree))


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return what a module calls others, and what they are."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({each.asname: each.name for each in node.names if each.asname})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for each in node.names:
                names[each.asname or each.name] = f"{node.module}.{each.name}"
    return names


def _spelled(node: ast.expr, names: Mapping[str, str]) -> str:
    text = ast.unparse(node)
    first, dot, rest = text.partition(".")
    return names.get(first, first) + dot + rest


def _classes(source: _Source) -> Iterator[tuple[str, list[str]]]:
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name, [_spelled(base, source.names) for base in node.bases]


def _is_a(name: str, kind: str, classes: Mapping[str, Sequence[str]], depth: int = 8) -> bool:
    """Return whether a class derives from a root, by way of others of the project, too."""
    for base in classes.get(name, ()):
        last = base.rpartition(".")[2]
        if any(base == root or base.endswith(f".{root}") or last == root for root in ROOTS[kind]):
            return True
        if depth and last in classes and last != name and _is_a(last, kind, classes, depth - 1):
            return True
    return False


def _finds(source: _Source, classes: Mapping[str, Sequence[str]]) -> Iterator[Find]:
    where = (source.file,)
    how = (source.module, source.folder)
    engine = any(
        isinstance(node, ast.Constant) and node.value == "KERAS_BACKEND"
        for node in ast.walk(source.tree)
    ) or any(name.partition(".")[0] == "tensorflow" for name in source.names.values())
    guard = _guard(source.tree)
    bare = None if guard else _bare_start(source)
    # To import what a bare program defines would run it.
    for node in [] if bare else source.tree.body:
        if isinstance(node, ast.ClassDef):
            kinds: tuple[Kind, ...] = ("lightning", "torch", "keras")
            kind = next((each for each in kinds if _is_a(node.name, each, classes)), None)
            if kind:
                needs = _needs(node)
                one = Find(kind, node.name, *where, node.lineno, *how, needs=needs, engine=engine)
                yield replace(one, logged=tuple(_logged(node))) if kind == "lightning" else one
        elif isinstance(node, ast.FunctionDef) and _builds_keras(node, source.names):
            needs = _required(node.args)
            yield Find("keras", node.name, *where, node.lineno, *how, needs=needs, engine=engine)
    if line := guard or bare:
        flags = tuple(_flags(source.tree))
        yield Find("script", source.file.stem, *where, line, *how, flags=flags)


def _logged(node: ast.ClassDef) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "self.log" and each.args:
            name = each.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value


def _needs(node: ast.ClassDef) -> tuple[str, ...]:
    starts = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    start = next((each for each in starts if each.name == "__init__"), None)
    return _required(start.args)[1:] if start else ()


def _required(arguments: ast.arguments) -> tuple[str, ...]:
    places = [*arguments.posonlyargs, *arguments.args]
    free = places[: len(places) - len(arguments.defaults)]
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return tuple(each.arg for each in [*free, *(a for a, default in named if default is None)])


def _builds_keras(node: ast.FunctionDef, names: Mapping[str, str]) -> bool:
    calls = (each for each in ast.walk(node) if isinstance(each, ast.Call))
    spelled = [_spelled(each.func, names) for each in calls]
    returns = any(isinstance(each, ast.Return) and each.value for each in ast.walk(node))
    return returns and any(text.endswith(_BUILDERS) for text in spelled)


def _guard(tree: ast.Module) -> int | None:
    """Return where a program starts: at its ``if __name__ == "__main__"``."""
    for node in tree.body:
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            return node.lineno
    return None


def _bare_start(source: _Source) -> int | None:
    """Return where a program without that starts: many a ``train.py`` is one."""
    if not re.match(r"train(\W|_|$)", source.file.stem):
        return None
    body = source.tree.body
    own = tuple(each.name for each in body if isinstance(each, ast.FunctionDef))
    return next((each.lineno for each in body if _trains(each, own)), None)


def _trains(node: ast.stmt, own: tuple[str, ...]) -> bool:
    """Return whether a statement is a loop, or calls ``main()``, ``model.fit(…)`` or the like."""
    if isinstance(node, ast.For | ast.While):
        return True
    called = node.value if isinstance(node, ast.Expr | ast.Assign) else None
    name = ast.unparse(called.func) if isinstance(called, ast.Call) else ""
    return name in own or name.endswith((".fit", ".train"))


def _flags(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("add_argument"):
            for each in node.args:
                if isinstance(each, ast.Constant) and str(each.value).startswith("--"):
                    yield str(each.value)


def _parts(sources: Sequence[_Source], names: set[str]) -> set[str]:
    """Return the classes that others of the project are made of: blocks, heads."""
    used = set()
    for source in sources:
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef):
                calls = (each for each in ast.walk(node) if isinstance(each, ast.Call))
                called = {ast.unparse(each.func).rpartition(".")[2] for each in calls}
                used |= (called & names) - {node.name}
    return used


def _with_data(one: Find, data: Sequence[tuple[str, str]]) -> Find:
    near = sorted(data, key=lambda each: each[0] != one.module)
    return replace(one, data=near[0]) if near else one
