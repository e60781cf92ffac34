"""The command line in a process that has already imported what is others' of it.

MLflow, and what it rests on, take longer to import than most commands take otherwise. One process
has them, and nothing of greenbench; it forks one for each command, which goes on as ``python -m
greenbench``. Where a new interpreter would find other modules, or read other variables as it
imports them, there is to be a new one.
"""

import gc
import json
import os
import runpy
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

import psutil

PRELOADED = (
    *("alembic.script", "mlflow.store.tracking.sqlalchemy_store", "pandas", "rich.console"),
    *("scipy.ndimage", "scipy.stats", "sqlalchemy.dialects.sqlite"),
)
SET_AT_WILL = (
    *("GREENBENCH_", "MLFLOW_TRACKING_", "PLUGIN_", "PYTEST_", "PYTHONPATH"),
    # What these and torch, Keras and scikit-learn set in whichever process imports them.
    *("KERAS_", "KMP_", "MPLBACKEND", "TF_", "TORCH", "_MLFLOW_TELEMETRY_"),
)
"""How the names of variables begin that none of these packages reads as it is imported."""
CUSTOMIZING = {"sitecustomize", "usercustomize"}
START_S = 1200.0
"""At most, on a machine that is busy."""

Completed = subprocess.CompletedProcess[str]


class Preloaded:
    """Runs commands to their ends, one at a time.

    Parameters
    ----------
    folder : pathlib.Path
        For what commands print.
    environment : dict
        In which packages are imported.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {n: text for n, text in environment.items() if n != "PYTHONPATH"}
        self._names: set[str] = set()
        self._process: subprocess.Popen[str] | None = None
        self._lock = Lock()

    def run(
        self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout_s: float
    ) -> Completed | None:
        """Run a command, or return None where that is for an interpreter of its own."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if not self._reads_the_same(environment):
                return None
            process = self._process or self._start()
            if not self._finds_the_same(cwd, environment):
                return None
            printed = {name: str(self.folder / name) for name in ("stdout", "stderr")}
            request = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
            assert process.stdin
            process.stdin.write(json.dumps(request | printed) + "\n")
            process.stdin.flush()
            try:
                status = int(self._answer(process, timeout_s))
            except subprocess.TimeoutExpired:
                for child in psutil.Process(process.pid).children():
                    child.kill()
                self._answer(process, START_S)
                raise
            told = [Path(path).read_text() for path in printed.values()]
            return subprocess.CompletedProcess(arguments, status, *told)
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.communicate()

    def _start(self) -> "subprocess.Popen[str]":
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._names = set(self._answer(self._process, START_S).split())
        return self._process

    def _reads_the_same(self, environment: Mapping[str, str]) -> bool:
        given = {*environment.items()} ^ {*self.environment.items()}
        return all(name.startswith(SET_AT_WILL) for name, _ in given)

    def _finds_the_same(self, cwd: Path, environment: Mapping[str, str]) -> bool:
        """Return whether a new interpreter would have imported these modules."""
        folders = [cwd, *search_path(cwd, environment)]
        files = {each.stem for folder in folders for each in folder.glob("*.py")}
        packages = {each.parent.name for folder in folders for each in folder.glob("*/__init__.py")}
        return not (files | packages) & (self._names | CUSTOMIZING)

    def _answer(self, process: "subprocess.Popen[str]", timeout_s: float) -> str:
        assert process.stdout
        if not select.select([process.stdout], [], [], timeout_s)[0]:
            raise subprocess.TimeoutExpired(process.args, timeout_s)
        return process.stdout.readline()


def search_path(cwd: Path, environment: Mapping[str, str]) -> list[Path]:
    """Return the folders of ``PYTHONPATH``."""
    return [cwd / each for each in environment.get("PYTHONPATH", "").split(os.pathsep) if each]


def serve() -> None:
    """Import what commands need, and fork one a line, whose exit code is the answer."""
    here = Path(__file__).parent
    sys.path[:] = [each for each in sys.path if Path(each) != here]
    for name in PRELOADED:
        import_module(name)
    gc.freeze()
    loaded = {name.partition(".")[0] for name in sys.modules} | sys.stdlib_module_names
    print(*loaded, flush=True)
    while line := sys.stdin.readline():
        pid = os.fork()
        if not pid:
            become(json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def become(request: Mapping[str, Any]) -> None:
    """Go on as ``python -m greenbench`` would begin."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    streams = (os.devnull, os.O_RDONLY), (request["stdout"], flags), (request["stderr"], flags)
    for number, (path, how) in enumerate(streams):
        opened = os.open(path, how)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:0] = [str(Path.cwd()), *map(str, search_path(Path.cwd(), os.environ))]
    sys.argv = ["-m", *request["arguments"]]
    sys.orig_argv = [sys.executable, "-m", "greenbench", *request["arguments"]]
    runpy.run_module("greenbench", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve()
