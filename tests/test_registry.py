import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenbench import registry
from greenbench.errors import (
    BrokenPluginError,
    ConfigurationError,
    MissingPackageError,
    UnknownNameError,
)
from greenbench.registry import Registry

HEAVY = (
    "torch",
    "torchvision",
    "keras",
    "mlflow",
    "pandas",
    "numpy",
    "scipy",
    "codecarbon",
    "rich",
)
SLOW_TO_IMPORT = (
    *registry.backends.names(),
    "bayesian",
    "digits",
    "mnist",
    "fashion_mnist",
    "cifar10",
)

AddModule = Callable[[str, str], None]
AddPlugin = Callable[[str, str, str], None]


@pytest.fixture
def parts() -> Registry[object]:
    return Registry("part", {"built_in": "json:dumps", "gone": "no_such_module:part"})


@pytest.fixture
def add_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AddModule]:
    """Write a module where it can be imported, here and in processes."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    added: list[str] = []

    def add(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        added.append(name)

    yield add
    for name in added:
        sys.modules.pop(name, None)


@pytest.fixture
def add_plugin(tmp_path: Path, add_module: AddModule) -> AddPlugin:
    """Install a distribution with one entry point, as pip would leave it behind."""

    def add(name: str, target: str, source: str) -> None:
        add_module(target, source)
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        entry = f"[{registry.ENTRY_POINT_GROUP}]\n{name} = {target}\n"
        (folder / "entry_points.txt").write_text(entry)

    return add


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def listed_by_the_cli() -> dict[str, object]:
    command = [sys.executable, "-m", "greenbench", "list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    listing: dict[str, object] = json.loads(done.stdout)
    return listing


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["--help"], ["run", "--help"]])
def test_listing_and_help_import_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from greenbench.cli import cli
cli({arguments!r}, standalone_mode=False)
print("heavy:", sorted(set(sys.modules) & set({HEAVY!r})))
"""
    assert run_python(code).splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(each.kind, name, marks=[pytest.mark.integration] * (name in SLOW_TO_IMPORT))
        for each in registry.ALL
        for name in each.names()
    ],
)
def test_built_in_can_be_loaded(kind: str, name: str) -> None:
    (owner,) = (each for each in registry.ALL if each.kind == kind)
    assert owner.get(name) is not None


def test_built_in_is_imported_when_asked_for(parts: Registry[object]) -> None:
    assert parts.get("built_in") is json.dumps


def test_decorated_part_is_found_under_its_name(parts: Registry[object]) -> None:
    @parts.register("my_part")
    def part() -> None: ...

    assert parts.get("my_part") is part
    assert "my_part" in parts.names()


def test_names_are_sorted_and_each_listed_once(parts: Registry[object]) -> None:
    parts.register("another")(object())
    parts.get("built_in")
    assert parts.names() == ["another", "built_in", "gone"]


@pytest.mark.parametrize("ask", ["get", "check"])
def test_unknown_name_offers_the_nearest(ask: str) -> None:
    with pytest.raises(UnknownNameError, match="did you mean bayesian"):
        getattr(registry.strategies, ask)("baysian")


def test_unknown_name_that_resembles_none_lists_all(parts: Registry[object]) -> None:
    with pytest.raises(UnknownNameError, match="unknown part 'xyz'; known: built_in, gone"):
        parts.get("xyz")


@pytest.mark.parametrize("name", ["", "Grid", "my-grid", "a b", "a/b", "a.b", "grid\n"])
def test_name_that_could_not_stand_in_an_id_is_refused(parts: Registry[object], name: str) -> None:
    with pytest.raises(ConfigurationError, match="use lower-case letters, digits and _"):
        parts.register(name)


def test_name_of_a_built_in_is_refused(parts: Registry[object]) -> None:
    with pytest.raises(ConfigurationError, match="already registered by json:dumps"):
        parts.register("built_in")(object())


def test_name_that_another_module_took_is_refused(
    parts: Registry[object], add_module: AddModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "strategies", parts)
    add_module(
        "first_owner",
        "from greenbench import registry\nregistry.strategies.register('taken')(object())\n",
    )
    __import__("first_owner")
    with pytest.raises(ConfigurationError, match="already registered by first_owner"):
        parts.register("taken")(object())


def test_module_may_register_its_own_part_again(parts: Registry[object]) -> None:
    parts.register("mine")("old")
    parts.register("mine")("new")
    assert parts.get("mine") == "new"


def test_origin_is_where_the_decorator_stands(parts: Registry[object]) -> None:
    parts.register("a_class_from_elsewhere")(Path)
    assert parts.origin("a_class_from_elsewhere") is sys.modules[__name__]


def test_built_in_has_no_origin(parts: Registry[object]) -> None:
    parts.get("built_in")
    assert parts.origin("built_in") is None


def test_part_whose_module_is_missing_is_broken(parts: Registry[object]) -> None:
    with pytest.raises(
        BrokenPluginError, match="part 'gone' cannot be loaded: ModuleNotFoundError"
    ):
        parts.get("gone")


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("", "AttributeError"),
        ("raise OSError('libfancy.so: cannot open')", "OSError: libfancy.so: cannot open"),
        ("raise RuntimeError('two\\n lines')", "RuntimeError: two lines"),
        ("def part(:", "SyntaxError"),
    ],
    ids=["attribute", "library", "runtime", "syntax"],
)
def test_part_whose_module_raises_is_broken(add_module: AddModule, source: str, cause: str) -> None:
    add_module("shaky", source)
    with pytest.raises(BrokenPluginError, match=cause):
        Registry("part", {"shaky": "shaky:part"}).get("shaky")


def test_error_that_says_what_to_do_is_passed_on(add_module: AddModule) -> None:
    add_module(
        "needy",
        "from greenbench.errors import MissingPackageError\n"
        "raise MissingPackageError('backend needy', 'jax', 'jax')\n",
    )
    with pytest.raises(ConfigurationError, match=r"^backend needy needs the package 'jax'"):
        Registry("part", {"needy": "needy:part"}).get("needy")


def test_broken_part_can_still_be_listed_and_checked(parts: Registry[object]) -> None:
    parts.check("gone")
    assert "gone" in parts.names()


def test_plugin_registers_its_parts(add_plugin: AddPlugin) -> None:
    add_plugin(
        "good-plugin",
        "good_plugin_module",
        "from greenbench import register_suite\n"
        "from greenbench.cases import Case\n"
        "@register_suite('from_plugin')\n"
        "def suite():\n    return [Case(seed=7)]\n",
    )
    listing = listed_by_the_cli()
    assert listing["broken_plugins"] == []
    suites = listing["suites"]
    assert isinstance(suites, dict)
    assert suites["from_plugin"] == ["default-simple_cnn-torch-digits+seed7"]


def test_broken_plugin_is_listed_with_its_error_and_breaks_nothing(add_plugin: AddPlugin) -> None:
    add_plugin("broken-plugin", "broken_plugin_module", "raise ValueError('no\\n  luck')\n")
    listing = listed_by_the_cli()
    assert listing["broken_plugins"] == [
        {
            "name": "broken-plugin",
            "target": "broken_plugin_module",
            "error": "ValueError: no luck (broken_plugin_module.py:1)",
        }
    ]
    suites = listing["suites"]
    assert isinstance(suites, dict)
    assert len(suites["ci"]) > 3


def test_suite_of_a_plugin_that_raises_breaks_no_listing(add_plugin: AddPlugin) -> None:
    add_plugin(
        "shaky-plugin",
        "shaky_plugin_module",
        "from greenbench import register_suite\n"
        "@register_suite('shaky')\n"
        "def suite():\n    raise KeyError('epochs')\n",
    )
    suites = listed_by_the_cli()["suites"]
    assert isinstance(suites, dict)
    failure = "suite 'shaky' failed: KeyError: 'epochs' (shaky_plugin_module.py:4)"
    assert suites["shaky"] == f"shaky is broken: {failure}"
    assert isinstance(suites["ci"], list)


def test_broken_plugins_are_reported_once_however_often_they_are_loaded(
    add_plugin: AddPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_failures", {})
    add_plugin("broken-plugin", "broken_plugin_module", "import no_such_module\n")
    registry.load_plugins()
    (failure,) = registry.load_plugins()
    assert (failure.name, failure.target) == ("broken-plugin", "broken_plugin_module")
    cause = "ModuleNotFoundError: No module named 'no_such_module'"
    assert failure.error == f"{cause} (broken_plugin_module.py:1)"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise SystemExit(2)", "SystemExit: 2"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def part(:", "SyntaxError: invalid syntax"),
        # A stand-in: a framework that another test has brought in is not brought in again.
        ("import keras.no_such_module", "import keras inside the function that needs it"),
    ],
    ids=["exits", "base exception", "import", "syntax", "framework"],
)
def test_broken_plugin_is_named_where_a_part_is_asked_for_and_leaves_none_behind(
    add_plugin: AddPlugin,
    add_module: AddModule,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    reason: str,
) -> None:
    monkeypatch.setattr(registry, "_failures", {})
    for name in [name for name in sys.modules if name.partition(".")[0] == "keras"]:
        monkeypatch.delitem(sys.modules, name)
    add_module("keras", "")
    part = "from greenbench import register_space\nregister_space('half_made')(object())\n"
    add_plugin("broken-plugin", "half_made_module", part + source + "\n")
    (failure,) = registry.load_plugins()
    assert reason in failure.error
    assert "half_made" not in registry.spaces.names()
    with pytest.raises(UnknownNameError) as asked:
        registry.spaces.get("half_made")
    assert f"plugin broken-plugin (half_made_module) is broken: {failure.error}" in str(asked.value)


def test_plugin_prints_to_standard_error(
    add_plugin: AddPlugin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_failures", {})
    add_plugin("noisy-plugin", "noisy_plugin_module", "print('noise')\n")
    assert registry.load_plugins() == []
    assert capsys.readouterr() == ("", "noise\n")


def test_plugin_whose_error_cannot_be_shown_is_named(
    add_plugin: AddPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_failures", {})
    source = "class Odd(Exception):\n    def __str__(self):\n        return 1\nraise Odd\n"
    add_plugin("odd-plugin", "odd_plugin_module", source)
    (failure,) = registry.load_plugins()
    assert failure.error.startswith("Odd: what it says cannot be shown")


def test_plugins_that_are_off_are_not_imported_and_named_where_a_part_is_asked_for(
    add_plugin: AddPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_failures", {})
    monkeypatch.setenv("GREENBENCH_PLUGINS", "0")
    add_plugin("off-plugin", "off_plugin_module", "raise SystemExit\n")
    assert registry.load_plugins() == []
    assert "off_plugin_module" not in sys.modules
    with pytest.raises(UnknownNameError) as asked:
        registry.spaces.get("of_a_plugin")
    said = (
        r"plugins are off \(GREENBENCH_PLUGINS=0\); not loaded: .*off-plugin \(off_plugin_module\)"
    )
    assert re.search(said, str(asked.value))


def test_built_in_registries_are_all_listed() -> None:
    own = {each.kind for each in vars(registry).values() if isinstance(each, Registry)}
    assert {each.kind for each in registry.ALL} == own


def test_strategy_of_an_extra_that_is_not_installed_is_refused_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cmaes" else found(name)
    )
    registry.check_strategy("bayesian+asha")
    with pytest.raises(MissingPackageError, match=r"'tpe'.*'cmaes'.*greenbench\[optuna\]"):
        registry.check_strategy("tpe+asha")


def test_strategies_of_the_extra_are_those_of_its_module() -> None:
    origins = registry.strategies._lazy
    of_module = {name for name in origins if ".optuna:" in origins[name]}
    assert of_module == set(registry.OF_OPTUNA)
