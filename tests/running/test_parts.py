"""Which modules hold the user's parts, and how a process that lacks them gets them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenbench.errors import ConfigurationError
from greenbench.machine.interpreter import worker_command, worker_search_path
from greenbench.running.parts import import_parts

PARENT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import {module}
from greenbench.cases import Case
from greenbench.running.parts import modules_in_sight, own_parts, registering_modules
cases = [Case(architecture=name) for name in sys.argv[2:]]
print(json.dumps({{
    "modules": registering_modules(cases, []),
    "in_sight": modules_in_sight(),
    "parts": own_parts(cases, []),
}}))
"""
WORKER = """
import json, sys
from greenbench.running.parts import import_parts
request = json.loads(sys.stdin.read())
import_parts(**request)
import_parts(**request)
print("imported")
"""
REGISTER = (
    "from greenbench import register_architecture as register\nregister('{name}')(object())\n"
)

Layout = dict[str, str]
Take = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """Register parts in one process, and import them in another, which has no folder of them."""

    def registered_and_imported(
        layout: Layout, module: str, *names: str
    ) -> "subprocess.CompletedProcess[str]":
        for file, source in layout.items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(source)
        program = PARENT.format(module=module)
        command = [sys.executable, "-c", program, str(tmp_path), *names]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return subprocess.run(
            [sys.executable, "-c", WORKER], input=told, capture_output=True, text=True, check=False
        )

    return registered_and_imported


HELPER = (
    "from greenbench import register_architecture\n"
    "def add(name):\n    register_architecture(name)(object())\n"
)


@pytest.mark.parametrize(
    ("layout", "module", "name"),
    [
        ({"mine.py": REGISTER.format(name="a")}, "mine", "a"),
        ({"pkg/deep/nets.py": REGISTER.format(name="a")}, "pkg.deep.nets", "a"),
        (
            {
                "pkg/__init__.py": "from .nets import x",
                "pkg/nets.py": "from . import y\n" + REGISTER.format(name="a") + "x = 1\n",
                "pkg/y.py": "",
            },
            "pkg",
            "a",
        ),
        ({"helper.py": HELPER, "mine.py": "import helper\nhelper.add('a')\n"}, "mine", "a"),
        (
            {"helper.py": HELPER, "mine.py": "import helper\n(lambda: helper.add('a'))()\n"},
            "mine",
            "a",
        ),
        (
            {
                "one/conftest.py": REGISTER.format(name="a"),
                "two/conftest.py": REGISTER.format(name="b"),
                "mine.py": "import runpy, sys\nfor each in ('one', 'two'):\n"
                "    runpy.run_path(f'{sys.path[0]}/{each}/conftest.py', run_name='conftest')\n",
            },
            "mine",
            "a b",
        ),
        (
            {
                "test/helpers.py": REGISTER.format(name="a"),
                "mine.py": "import sys, types\n"
                "sys.modules['test'] = test = types.ModuleType('test')\n"
                "test.__path__ = [f'{sys.path[0]}/test']\nimport test.helpers\n",
            },
            "mine",
            "a",
        ),
    ],
    ids=["module", "folders", "package", "helper", "lambda", "conftests", "like Python's"],
)
def test_what_one_process_registers_another_has(
    take: Take, layout: Layout, module: str, name: str
) -> None:
    done = take(layout, module, *name.split())
    assert done.stdout == "imported\n", done.stderr


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys\n" + REGISTER.format(name="a") + "if sys.argv[1:] == []:\n    sys.exit(3)\n",
         "registers parts of a case, and a worker cannot import it: SystemExit: 3"),
        ("import sys\nif sys.argv[1:]:\n    " + REGISTER.format(name="a").replace("\n", ";", 1),
         "architecture 'a' (mine.py:3) is not registered when a worker imports that file"),
    ],
    ids=["exits", "only there"],
)  # fmt: skip
def test_part_that_cannot_be_had_is_one_line(take: Take, source: str, words: str) -> None:
    done = take({"mine.py": source}, "mine", "a")
    error = done.stderr.splitlines()[-1]
    assert error.startswith("greenbench.errors.ConfigurationError")
    assert words in error


def test_file_that_is_no_module_is_one_line(tmp_path: Path) -> None:
    modules: list[dict[str, Any]] = [{"name": "mine", "file": str(tmp_path / "mine.txt")}]
    with pytest.raises(ConfigurationError, match="it is no module of Python"):
        import_parts(modules, {}, [])


def test_worker_looks_into_pythons_own_library_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package that is run is the parent's, which an editable installation may find nowhere.
    package = tmp_path / "elsewhere" / "ours" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.touch()
    for name in ("queue", "random", "mine", "ours"):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.chdir(tmp_path)
    package.with_name("probe.py").write_text(
        "import json, queue, random, sys, mine\n"
        "print(json.dumps([queue.__file__, random.__file__, mine.__file__, sys.argv[1:]]))\n"
    )
    command = worker_command(
        "ours.probe", str(package), worker_search_path([str(tmp_path), *sys.path])
    )
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    queue, random, mine, arguments = json.loads(done.stdout)
    assert str(tmp_path) not in (str(Path(queue).parent), str(Path(random).parent))
    assert mine == str(tmp_path / "mine.py")
    assert arguments == []
