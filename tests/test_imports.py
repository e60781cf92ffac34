"""The house rules on imports and sizes, read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import greenbench

PACKAGE = Path(greenbench.__file__).parent
LONGEST_MODULE = 400
LONGEST_ADAPTER = 100
ADAPTERS = ("keras", "lightning", "sklearn", "transformers", "xgboost")

# From the ground up: a module may import what stands above it in this list, and itself.
ORDER = (
    "text",
    "errors",
    "machine",
    "cases",
    "builtin",
    "registry",
    "settings",
    "selection",
    "datasets",
    "tasks",
    "optimizers",
    "architectures",
    "backends",
    "strategies",
    "schedulers",
    "results",
    "energy",
    "tabular",
    "trainings",
    "search",
    "tracking",
    "running",
    "cluster",
    "compare",
    "gate",
    "measuring",
    "reports",
    "doctor",
    "starting",
    "terminal",
    "testing",
    "moved",
    "integrations",
    "pytest_plugin",
    "cli",
)
FREE = ("testing",)
"""May import anything: it is for tests, and no other part imports it."""

HOMES = {
    "mlflow": ("tracking",),
    "codecarbon": ("energy/codecarbon.py",),
    "dask": ("cluster",),
    "dask_jobqueue": ("cluster",),
    "dask_kubernetes": ("cluster",),
    "distributed": ("cluster",),
    "kr8s": ("cluster/pods.py",),
    "ruptures": ("gate/changepoints.py",),
    "skopt": ("strategies/bayesian.py",),
    "sklearn": (
        "tasks/metrics.py",
        "datasets",
        "strategies/bayesian_paper.py",
        "tabular/lookup.py",
        "integrations/sklearn.py",
    ),
    "optuna": ("strategies/optuna.py",),
    "pyarrow": ("tabular/files.py", "datasets/columns.py"),
    "pytest_benchmark": ("pytest_plugin.py",),
    "pytest": ("pytest_plugin.py", "integrations", "testing"),
    "torch": ("backends", "architectures", "datasets"),
    "torchvision": ("datasets", "architectures", "backends/torch_augmentation.py"),
    "timm": ("architectures/libraries.py",),
    "keras": ("backends", "architectures/libraries.py", "integrations/keras.py"),
    "lightning": ("integrations/lightning.py",),
    "pytorch_lightning": ("integrations/lightning.py",),
    "transformers": ("integrations/transformers.py",),
    "xgboost": ("integrations/xgboost.py",),
    "greenlet": ("integrations/hand_over.py",),
    "rich": ("terminal",),
    "zeus": ("energy/zeus.py", "energy/amd.py"),
    "pynvml": ("energy/nvml.py",),
    "matplotlib": ("reports",),
    "statsmodels": ("compare/anova.py", "compare/pairs.py", "compare/over_hosts.py"),
    "kneed": ("compare/front.py",),
    "psutil": ("machine", "energy/host.py", "energy/process_tree.py"),
    "click": ("cli",),
}
"""Third-party packages, and the modules or folders that alone may import them."""

MODULES = sorted(PACKAGE.rglob("*.py"))


@cache
def imports_of(path: Path) -> tuple[tuple[str, int], ...]:
    """Return the absolute names that a module imports, at any depth, with their lines."""
    return tuple(_imports_of(path))


def _imports_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif is_call_of_import_module(node):
            assert isinstance(node, ast.Call)
            (name, *_) = node.args
            if isinstance(name, ast.Constant):
                yield str(name.value), node.lineno


def is_call_of_import_module(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and bool(node.args)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__")
    )


def inside(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    """Return the part of the house that a module belongs to: ``energy`` or ``cli``."""
    return inside(path).partition("/")[0].removesuffix(".py")


def own_imports(path: Path) -> Iterator[tuple[str, int]]:
    for name, line in imports_of(path):
        parts = name.split(".")
        if parts[0] == "greenbench" and len(parts) > 1 and not parts[1].startswith("__"):
            yield parts[1], line


def up_imports(path: Path, order: tuple[str, ...]) -> list[str]:
    here = order.index(room(path))
    return [
        f"{inside(path)}:{line} imports {name}"
        for name, line in own_imports(path)
        if name != room(path) and order.index(name) > here
    ]


def test_every_module_has_its_place_in_the_order() -> None:
    rooms = {room(path) for path in MODULES} - {"__init__", "__main__"}
    assert sorted(rooms) == sorted(ORDER)


def test_imports_flow_downwards() -> None:
    ordered = [path for path in MODULES if room(path) not in ("__init__", "__main__", *FREE)]
    assert [line for path in ordered for line in up_imports(path, ORDER)] == []


def test_nothing_imports_what_is_only_for_tests() -> None:
    others = [path for path in MODULES if room(path) not in FREE]
    importing = [inside(path) for path in others for name, _ in own_imports(path) if name in FREE]
    assert importing == []


def test_package_itself_imports_the_registry_alone() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    # Not those for types alone, which stand in a block of their own.
    imports = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    ours = {name for name in imports if str(name).startswith("greenbench")}
    assert ours == {"greenbench.registry"}


@pytest.mark.parametrize("package", HOMES)
def test_integration_lives_in_its_home_alone(package: str) -> None:
    strangers = [
        f"{inside(path)}:{line}"
        for path in MODULES
        for name, line in imports_of(path)
        if name.partition(".")[0] == package and not is_home(path, package)
    ]
    assert strangers == []


def is_home(path: Path, package: str) -> bool:
    return any(inside(path) == home or room(path) == home for home in HOMES[package])


@pytest.mark.parametrize("package", sorted(set(HOMES) - {"pytest_benchmark"}))
def test_home_is_lived_in(package: str) -> None:
    # A rule about a package that nothing imports would hold whatever happens.
    users = {
        inside(path)
        for path in MODULES
        for name, _ in imports_of(path)
        if name.partition(".")[0] == package
    }
    assert users


def test_modules_are_short() -> None:
    lines = {inside(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count >= LONGEST_MODULE} == {}


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapter_is_a_hundred_lines_at_most(name: str) -> None:
    path = PACKAGE / "integrations" / f"{name}.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_ADAPTER


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from greenbench.cli import main", ["cli"]),
        ("from greenbench import cli, errors", ["cli", "errors"]),
        ("def late():\n    import greenbench.running.session", ["running"]),
        ("import importlib\nimportlib.import_module('greenbench.cli')", ["cli"]),
        ("from greenbench import __version__", []),
    ],
)
def test_imports_are_found_however_they_are_written(
    tmp_path: Path, source: str, expected: list[str]
) -> None:
    (tmp_path / "module.py").write_text(source)
    assert [name for name, _ in own_imports(tmp_path / "module.py")] == expected


@pytest.mark.parametrize("name", ["running.session", "cluster.engine", "cluster.remote"])
def test_what_starts_before_anything_is_measured_does_not_wait_for_scipy(name: str) -> None:
    # It takes more than a second, in driver, worker and the process that measures.
    code = f"import sys, greenbench.{name}; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["search.repeat", "terminal.summary", "terminal.next_step"])
def test_what_every_run_imports_is_nothing_that_few_runs_need(name: str) -> None:
    code = f"import sys, greenbench.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy.optimize", "scipy.stats", "sklearn", "statsmodels"} & {*done.stdout.split()}
