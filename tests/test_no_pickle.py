"""Nothing that lies on a disk or in a store is unpickled or evaluated, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenbench

PACKAGE = Path(greenbench.__file__).parent

FORBIDDEN = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")
"""Modules whose files run code where they are read."""
CALLS = ("eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle")

ALLOWED = {
    # Bytes that it has just written itself, in memory, of a network that is in this process: to
    # know what a step changes of its attributes, and to put it back. They leave no process.
    "backends/torch_attributes.py": "import pickle",
}


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Yield what a module must not do, each as its source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.partition(".")[0] in FORBIDDEN for name in names):
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and not _is_safe(node):
            yield ast.unparse(node)


def _is_safe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if name in CALLS or name.endswith(("load_model", "unsafe_load")):
        return False
    given = {each.arg: ast.unparse(each.value) for each in call.keywords}
    if given.get("allow_pickle") == "True" or given.get("weights_only") == "False":
        return False
    if name in ("np.load", "numpy.load", "np.lib.format.read_array"):
        return given.get("allow_pickle") == "False"
    return name != "torch.load" or given.get("weights_only") == "True"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "np.load(file)",
        "numpy.load(file, allow_pickle=True)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "eval(text)",
        "exec(text)",
        "yaml.load(file)",
        "mlflow.pytorch.load_model(uri)",
    ],
)
def test_guard_finds(source: str) -> None:
    assert list(unsafe(ast.parse(source)))


def test_nothing_is_unpickled_or_evaluated() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        calls = set(unsafe(ast.parse(path.read_text(encoding="utf-8")))) - {ALLOWED.get(name)}
        if calls:
            found[name] = calls
    assert not found


def test_allowance_is_needed() -> None:
    for name, source in ALLOWED.items():
        assert source in set(unsafe(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))))
