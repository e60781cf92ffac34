"""The gate on real runs, in somebody's own project: what it catches, and what it leaves."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from greenbench.results.journal import Journal
from greenbench.tracking import Store
from tests.conftest import LEAN, Greenbench

pytestmark = pytest.mark.integration

NETS = '''
"""Two networks of our own."""
import os
import sys
import time

import torch
from greenbench import register_architecture, register_suite
from greenbench.architectures import Conv, Flatten, Linear, Spec, native
from greenbench.cases import matrix

LAYERS = 1
WASTE_S = 0.0
print("we work in", os.getcwd(), file=sys.stderr)


class Wasteful(torch.nn.Linear):
    def forward(self, images):
        until = time.perf_counter() + WASTE_S
        while time.perf_counter() < until:
            pass
        return super().forward(images.flatten(1))


@register_architecture("convolved")
def convolved(image_shape, classes):
    return Spec("convolved", image_shape, [*[Conv(4)] * LAYERS, Flatten(), Linear(classes)])


@register_architecture("linear")
@native("torch")
def linear(image_shape, classes):
    channels, height, width = image_shape
    return Wasteful(channels * height * width, classes)


@register_suite("own")
def own():
    return matrix(("default",), NAMES, epochs=1, repeats=1)


NAMES = ["convolved", "linear"]
'''
LATER = """
@register_architecture("later")
def later(image_shape, classes):
    return Spec("later", image_shape, [Flatten(), Linear(classes)])


NAMES = ["linear", "later"]
"""
TEST = """
def test_cost(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)
"""
BUDGETS = """
[[budget]]
case = "*"
train_flops = { max_increase = "0%" }
energy_wh = { max_increase = "50%", on_estimated = "error" }
"""
CASE = "default-{}-torch-digits+epochs1"
# Other tests run beside these.
INTERLEAVED = ("gate", "--suite", "own", "--include-disturbed", "--baseline", "interleaved:v1")
INTERLEAVED = (*INTERLEAVED, "--budget", "../budgets.toml")


@dataclass
class Project:
    """A repository whose only commit is v1, with greenbench's command line in its subfolder."""

    root: Path
    command: Greenbench

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        command = ["git", *identity, *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout

    def change(self, old: str, new: str, more: str = "") -> None:
        nets = self.root / "own_nets.py"
        text = nets.read_text()
        assert old in text
        nets.write_text(text.replace(old, new) + more)

    def bench(self, name: str) -> str:
        """Run the benchmark, and return where pytest's JSON is."""
        options = ("--greenbench-suite", "own", "--benchmark-json", name, "-k", "convolved")
        plugins = (*LEAN, "-p", "no:cacheprovider", "-p", "no:xdist")
        subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, *options, "../test_cost.py"],
            cwd=self.command.folder,
            env=self.command.environment,
            capture_output=True,
            timeout=900,
            check=True,
        )
        return name


def rows_of(store: Store, session: str) -> list[dict[str, Any]]:
    return [row for row in store.read_rows("gate") if row["session"] == session]


@pytest.fixture
def project(greenbench: Greenbench, store: Store, tmp_path: Path) -> Project:
    root = tmp_path / "own project"
    info = root / "own_nets-1.0.dist-info"
    for folder in (info, root / "benchmarks", tmp_path / "temporary"):
        folder.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-nets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\nown = own_nets\n")
    (root / "own_nets.py").write_text(NETS)
    (root / "test_cost.py").write_text(TEST)
    (root / "budgets.toml").write_text(BUDGETS)
    (root / "benchmarks" / "README").touch()
    greenbench.folder = root / "benchmarks"
    for name in [name for name in greenbench.environment if name.startswith(("GIT_", "GITHUB_"))]:
        del greenbench.environment[name]
    greenbench.environment["MLFLOW_TRACKING_URI"] = store.uri.reveal()
    greenbench.environment["PYTHONPATH"] = str(root)
    greenbench.environment["PYTHONDONTWRITEBYTECODE"] = "1"
    greenbench.environment["TMPDIR"] = str(tmp_path / "temporary")
    found = Project(root, greenbench)
    found.git("init", "--quiet")
    found.git("add", ".")
    found.git("commit", "--quiet", "--message", "first")
    found.git("tag", "v1")
    return found


def test_a_further_layer_fails_and_flops_are_named_as_the_cause(project: Project) -> None:
    gate = project.command
    budget = ("--budget", "../budgets.toml")
    assert gate("gate", project.bench("v1.json"), "--update").returncode == 0
    project.change("LAYERS = 1", "LAYERS = 2")

    done = gate("gate", project.bench("now.json"), *budget)

    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL ")]
    assert line.startswith(f"FAIL {CASE.format('convolved')}: train_flops rose by ")
    assert "the model changed" in line
    assert "../budgets.toml:4" in line


def test_repeats_are_added_until_what_is_stored_decides(project: Project, store: Store) -> None:
    gate = project.command
    # One sample costs the same operations always; of a cost that is noisy, three are needed.
    text = BUDGETS.partition("energy_wh")[0] + "energy_wh = { max = 1000, rounds = 3 }\n"
    (project.root / "budgets.toml").write_text(text)
    assert gate("gate", project.bench("v1.json"), "--update").returncode == 0
    measured = ("gate", "--suite", "own", "--case", "*-convolved-*", "--until-decided")
    measured = (*measured, "--include-disturbed", "--budget", "../budgets.toml")

    done = gate(*measured, "--max-repeats", "6")

    assert done.returncode == 0, done.stderr
    assert "gate: pass: 2 passed; baseline: benchmarks/baselines/own.json" in done.stdout
    assert f"Note: repeats that it took: {CASE.format('convolved')} 3\n" in done.stdout
    assert len([row for row in store.read_rows("gate") if row["session"]]) == 3

    project.change("LAYERS = 1", "LAYERS = 2")
    done = gate(*measured, "--max-repeats", "1")
    assert done.returncode == 1, done.stderr
    assert f"FAIL {CASE.format('convolved')}: train_flops rose by " in done.stdout


def test_useless_work_is_caught_and_a_case_that_the_base_lacks_is_said(
    project: Project, store: Store, tmp_path: Path
) -> None:
    project.change("WASTE_S = 0.0", "WASTE_S = 0.02", LATER)

    done = project.command(*INTERLEAVED, "--case", "*-l*", "--max-pairs", "20")

    assert done.returncode == 1, done.stderr
    commit = project.git("rev-parse", "v1")[:12]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL ")]
    assert line.startswith(f"FAIL {CASE.format('linear')}: energy_wh rose by ")
    assert "train_flops are unchanged: suspect the runtime" in line
    assert f"baseline: v1 ({commit}), measured in turn with this" in done.stdout
    later = f"Note: {CASE.format('later')} cannot run at v1 ({commit}): unknown architecture"
    assert later in done.stdout
    # Ours alone are results of the project.
    (log,) = (tmp_path / "mlruns" / "journal").glob("*/base/worker-torch-*.log")
    rows = rows_of(store, log.parent.parent.name)
    taken = Counter(row["case_id"] for row in rows)
    # Nothing can be compared with nothing, and five or so pairs show what is twice as much.
    assert taken.keys() == {CASE.format("later"), CASE.format("linear")}
    assert taken[CASE.format("later")] == 1
    assert 3 <= taken[CASE.format("linear")] < 20
    assert (
        f"Note: pairs that it took: {CASE.format('linear')} {taken[CASE.format('linear')]}\n"
        in (done.stdout)
    )
    assert "greenbench-base-" in log.read_text()
    assert "/own project/benchmarks\n" in log.read_text()
    assert not list((tmp_path / "temporary").glob("greenbench-base-*"))
    assert project.git("worktree", "list").count("\n") == 1


def test_a_kill_leaves_nothing_in_git_and_keeps_what_is_finished(
    project: Project,
    store: Store,
    tmp_path: Path,
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    def finished(folder: str) -> list[Path]:
        found = (tmp_path / "mlruns" / "journal").glob(f"*/{folder}*.jsonl")
        return [path for path in found if Journal(path).read().result]

    command = (*INTERLEAVED, "--case", "*-linear-*", "--max-pairs", "20")
    running = project.command.start(*command, start_new_session=True)
    eventually(lambda: finished("") and finished("base/"))
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()

    assert project.git("worktree", "prune") == ""
    assert project.git("worktree", "list").count("\n") == 1
    assert project.git("status", "--porcelain") == ""
    kept = finished("")
    done = project.command("sync")
    assert done.returncode == 0, done.stderr
    rows = rows_of(store, kept[0].parent.name)
    assert sorted(row["repeat"] for row in rows) == list(range(len(kept)))
