"""Workers that cannot start, parts that they must find, and plugins and jobs that break off."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Greenbench

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("made_store")]

QUICK = ("run", "-a", "dense.xs", "--repeats", "1", "--epochs", "1")

NET = """
from greenbench import register_architecture
from greenbench.architectures import Flatten, Linear, Spec


def linear(name):
    def build(image_shape, classes):
        return Spec(name, image_shape, [Flatten(), Linear(classes)])

    return build
"""
RUN = """
from greenbench.cases import Case


def test_{name}(greenbench_run):
    (result,) = greenbench_run(Case(architecture="{name}", epochs=1, repeats=1))
    assert result.incumbent is not None
"""

Write = Callable[[Mapping[str, str]], None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files, and the folders that they lie in."""

    def write_files(files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write_files


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENBENCH_IDLE_S", "0")
    monkeypatch.setenv("GREENBENCH_CARBON_INTENSITY", "100")


def run_pytest(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the program `pytest`, which does not look into the working folder by itself."""
    program = Path(sys.executable).with_name("pytest")
    plugins = ("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:benchmark")
    return subprocess.run(
        [program, "-q", *plugins, *arguments],
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def lines_of(done: "subprocess.CompletedProcess[str]") -> list[str]:
    return (done.stdout + done.stderr).splitlines()


def test_modules_of_the_working_folder_do_not_stand_in_for_pythons_nor_a_limit_overflow(
    greenbench: Greenbench, write: Write
) -> None:
    names = ("queue", "random", "dataclasses", "select", "inspect", "types", "numbers")
    write({f"{name}.py": "raise RuntimeError('not Python')\n" for name in names})

    # The program, which does not look into the working folder by itself, as `python -m` does.
    program = Path(sys.executable).with_name("greenbench")
    # More seconds than a clock can wait for.
    arguments = (*QUICK, "--trial-timeout", "1e10")
    done = subprocess.run(
        [program, *arguments],
        cwd=greenbench.folder,
        env=greenbench.environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_log_of_a_worker_that_dies_at_its_start_is_kept_and_its_last_line_said(
    greenbench: Greenbench, write: Write
) -> None:
    write(
        {"mine/sitecustomize.py": "import sys\nif '-P' in sys.orig_argv:\n    sys.exit('gone')\n"}
    )
    greenbench.environment["PYTHONPATH"] = str(greenbench.folder / "mine")

    done = greenbench(*QUICK)

    assert done.returncode == 1
    (line,) = [line for line in lines_of(done) if line.startswith("Error")]
    assert "ended with exit code" in line
    assert "gone" in line
    log = Path(line.rpartition("see ")[2])
    assert "gone" in log.read_text()


def test_signal_of_real_time_that_kills_a_worker_is_named(
    greenbench: Greenbench, write: Write
) -> None:
    code = "import os, sys\nif '-P' in sys.orig_argv:\n    os.kill(os.getpid(), 40)\n"
    write({"mine/sitecustomize.py": code})
    greenbench.environment["PYTHONPATH"] = str(greenbench.folder / "mine")

    done = greenbench(*QUICK)

    assert done.returncode == 1
    assert "was killed by signal 40" in done.stderr
    assert "Traceback" not in done.stderr


def test_parts_of_helper_modules_are_found_in_the_worker(tmp_path: Path, write: Write) -> None:
    write(
        {
            "pytest.ini": "[pytest]\npython_files = bench_*.py\npythonpath = src\n",
            # A helper registers for whoever calls it.
            "src/factory.py": NET
            + "\n\ndef add(name):\n    register_architecture(name)(linear(name))\n",
            "bench_factory.py": "import factory\nfactory.add('called')\n"
            + RUN.format(name="called"),
            # A helper registers where it is imported, beside, in a package, and relatively.
            "src/pkg/__init__.py": "from pkg.nets import deep\n",
            "src/pkg/nets.py": NET
            + "from . import more\n\nregister_architecture('deep')(linear('deep'))\ndeep = 1\n",
            "src/pkg/more.py": "",
            "bench_package.py": "import pkg\n" + RUN.format(name="deep"),
            # In a conftest.py, of which there may be several.
            "one/conftest.py": "import factory\nfactory.add('one')\n",
            "one/bench_one.py": RUN.format(name="one"),
            "two/conftest.py": "import factory\nfactory.add('two')\n",
            "two/bench_two.py": RUN.format(name="two"),
            # In a module that is loaded from its path, and is in no table.
            "parts/by_path.py": "import factory\nfactory.add('by_path')\n",
            "bench_by_path.py": "from importlib.util import module_from_spec as new\n"
            "from importlib.util import spec_from_file_location as at\n"
            "from pathlib import Path\n"
            "spec = at('by_path', Path(__file__).parent / 'parts' / 'by_path.py')\n"
            "spec.loader.exec_module(new(spec))\n" + RUN.format(name="by_path"),
            # In a module that is called like one of Python's own.
            "bench_random.py": "import runpy\n"
            "runpy.run_path('odd/random.py')\n" + RUN.format(name="odd"),
            "odd/random.py": "import factory\nfactory.add('odd')\n",
        }
    )

    done = run_pytest(tmp_path)

    assert "6 passed" in done.stdout, done.stdout


def test_parts_are_found_where_pytest_leaves_the_search_path_alone(
    tmp_path: Path, write: Write
) -> None:
    write(
        {
            "pytest.ini": "[pytest]\npython_files = bench_*.py\n"
            "addopts = --import-mode=importlib\n",
            "benchmarks/helpers.py": NET + "register_architecture('near')(linear('near'))\n",
            "benchmarks/bench_near.py": "from .helpers import linear\n" + RUN.format(name="near"),
            "benchmarks/test/nets.py": NET + "register_architecture('far')(linear('far'))\n",
            "benchmarks/bench_far.py": "from .test.nets import linear\n" + RUN.format(name="far"),
        }
    )

    done = run_pytest(tmp_path)

    assert "2 passed" in done.stdout, done.stdout


def test_part_that_no_import_registers_is_named_with_what_to_do(
    tmp_path: Path, write: Write
) -> None:
    write(
        {
            "conftest.py": NET
            + "\n\ndef pytest_configure():\n    register_architecture('late')(linear('late'))\n",
            "test_late.py": RUN.format(name="late"),
        }
    )

    done = run_pytest(tmp_path)

    assert "1 failed" in done.stdout
    (line,) = [line for line in lines_of(done) if line.startswith("architecture 'late'")]
    assert "conftest.py:14" in line
    assert "while the module is imported" in line
    assert "Traceback" not in done.stdout
    assert "greenbench/running" not in done.stdout


STOPPED = """
import os
import sys
import time

import pytest
from greenbench import register_architecture
from greenbench.architectures import native
from greenbench.cases import Case

NOISE = []


@register_architecture("sleepy")
@native("torch")
def sleepy(image_shape, classes, sleep=0):
    import torch

    if not NOISE:
        # Nothing of this is the worker's to read, or may be taken for what it tells.
        NOISE.append(sys.stdin.read())
        os.write(1, b'\\xff\\x00 no line of ours')
        os.write(1, b'{"event": "finished", "values": {}, "request": 1}\\n')
        os.closerange(0, 2)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.last = torch.nn.LazyLinear(classes)

        def forward(self, images):
            time.sleep(sleep if self.training else 0)
            return self.last(images.flatten(1))

    return Net()


def case(sleep, **fields):
    options = {"sleep": sleep}
    return Case(architecture="sleepy", architecture_options=options, repeats=1, **fields)


def test_first(greenbench_run):
    greenbench_run(case(0, epochs=1))


@pytest.mark.timeout(2, method="signal", func_only=True)
def test_stopped(greenbench_run):
    greenbench_run(case(0.05, strategy="random+asha", trials=9, epochs=9))


def test_next(greenbench_run):
    (result,) = greenbench_run(case(0, strategy="random", trials=2, epochs=1, seed=1))
    assert [trial.index for trial in result.trials] == [0, 1]
    assert result.case.seed == 1
"""


def test_worker_of_a_test_that_its_own_limit_stopped_is_replaced(
    tmp_path: Path, write: Write
) -> None:
    write({"test_stopped.py": STOPPED})

    done = run_pytest(tmp_path)

    assert "1 failed, 2 passed" in done.stdout, done.stdout


PLUGINS = {
    "exits": "import sys\nsys.exit('bye')\n",
    "skips": "import pytest\npytest.skip('not here', allow_module_level=True)\n",
    "keras_at_its_top": "import keras\nraise OSError('no engine')\n",
    "noisy": "from greenbench import register_space\nprint('noise')\n",
}


def test_broken_plugins_are_named_where_a_part_is_asked_for_and_stop_nothing_else(
    greenbench: Greenbench, write: Write
) -> None:
    for name, source in PLUGINS.items():
        entry = f"[greenbench.plugins]\nnets = my_{name}\n"
        write(
            {
                f"mine/my_{name}.py": source,
                f"mine/{name}-1.0.dist-info/METADATA": f"Name: {name}\nVersion: 1.0\n",
                f"mine/{name}-1.0.dist-info/entry_points.txt": entry,
            }
        )
    greenbench.environment["PYTHONPATH"] = str(greenbench.folder / "mine")

    asked = greenbench("run", "-a", "their_net")

    assert asked.returncode == 2
    error = asked.stderr.splitlines()[-1]
    assert error.startswith("Error: unknown architecture 'their_net'")
    assert "plugin nets of exits (my_exits) is broken: SystemExit: bye" in error
    assert "plugin nets of skips (my_skips) is broken: Skipped: not here" in error
    assert "import keras inside the function that needs it" in error
    listed = greenbench("list", "--json")
    assert listed.returncode == 0
    assert len(json.loads(listed.stdout)["broken_plugins"]) == 3
