"""`greenbench ui` lets in nobody but who started it, and shows nobody else's server."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import requests

from greenbench.tracking import Store
from tests.conftest import Greenbench
from tests.mlflow_server import free_port

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.integration

PUBLIC = ("/health", "/static-files", "/ajax-api/3.0/mlflow/server-info", "/api/3.0/mlflow/server-")
NATIVE = (
    ("POST", "/v1/traces"),
    ("GET", "/ajax-api/3.0/jobs/1"),
    ("POST", "/ajax-api/3.0/jobs/search"),
    ("POST", "/gateway/mine/mlflow/invocations"),
    ("POST", "/gateway/mlflow/v1/chat/completions"),
    ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
    ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/x"),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts/1/x"),
    ("GET", "/signup"),
    ("POST", "/api/2.0/mlflow/users/create"),
)
"""Those that some versions of MLflow serve beside the routes of its application."""


SLOW = """
import sys, time
if {"gunicorn", "uvicorn"} & set(sys.orig_argv):
    time.sleep(600)
"""


@dataclass(frozen=True)
class Ui:
    """One that answers."""

    process: "subprocess.Popen[str]"
    said: str
    private: Path

    @property
    def address(self) -> str:
        return re.findall(r"http://127\.0\.0\.1:\d+", self.said)[0]

    @property
    def access(self) -> tuple[str, str]:
        ((user, password),) = re.findall(r"user (\S+), password (\S+)", self.said)
        return user, password

    def ask(
        self, path: str, method: str = "GET", *, is_owner: bool = False, **options: object
    ) -> int:
        """Return the status of an answer."""
        return self.answer(path, method, is_owner=is_owner, **options).status_code

    def answer(
        self, path: str, method: str = "GET", *, is_owner: bool = False, **options: object
    ) -> requests.Response:
        """Ask without a password, or as whoever started it."""
        with requests.Session() as session:
            session.trust_env = False
            session.auth = self.access if is_owner else None
            return session.request(
                method, self.address + path, timeout=60, allow_redirects=False, **options
            )  # type: ignore[arg-type]

    @property
    def processes(self) -> list[psutil.Process]:
        """What it consists of."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


def is_gone(process: psutil.Process) -> bool:
    """Return whether it has ended, whether or not its new parent has noticed."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def start(folder: Path, uri: str, *arguments: str) -> Ui:
    private = folder / "private"
    private.mkdir(mode=0o700, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "greenbench", "ui", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "MLFLOW_TRACKING_URI": uri,
            "TMPDIR": str(private),
            # Of somebody who runs a server of their own.
            "MLFLOW_AUTH_ADMIN_PASSWORD": "known-to-all",
            "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
            "MLFLOW_UVICORN_OPTS": "--reload",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    while not (len(lines) > 1 and lines[-2].startswith("MLflow UI:")):
        lines.append(process.stdout.readline() if process.stdout else "")
        assert lines[-1], f"the UI ended: {''.join(lines)}"
    return Ui(process, "".join(lines[-2:]), private)


@pytest.fixture(scope="module")
def ui(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    found = start(tmp_path_factory.mktemp("ui"), store.uri.reveal())
    yield found
    found.process.terminate()
    found.process.wait()


def test_every_route_asks_for_the_password(ui: Ui) -> None:
    from mlflow.server import app  # noqa: PLC0415

    routes = [
        (method, re.sub(r"<[^>]+>", "1", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}
    ]
    assert len(routes) > 100
    asked = [route for route in {*routes, *NATIVE} if not route[1].startswith(PUBLIC)]
    open_ = [route for route in asked if ui.ask(route[1], route[0], json={}) != 401]
    assert open_ == []


@pytest.mark.parametrize("pair", [("greenbench", "known-to-all"), ("admin", "password1234")])
def test_passwords_that_others_may_know_are_none(ui: Ui, pair: tuple[str, str]) -> None:
    assert ui.ask("/ajax-api/2.0/mlflow/experiments/search?max_results=1", auth=pair) == 401


def test_files_are_read_by_the_owner_alone(ui: Ui, client: "MlflowClient", tmp_path: Path) -> None:
    experiment = client.create_experiment("files", artifact_location=tmp_path.as_uri())
    run = client.create_run(experiment).info.run_id
    client.log_text(run, "mine", "precious.txt")
    path = f"/get-artifact?path=precious.txt&run_uuid={run}"
    assert ui.ask(path) == 401
    assert ui.answer(path, is_owner=True).text == "mine"


def test_experiments_are_deleted_by_the_owner_alone(ui: Ui, client: "MlflowClient") -> None:
    experiment = client.create_experiment("to be kept")
    asked = {"json": {"experiment_id": experiment}}
    for root in ("/api/2.0", "/ajax-api/2.0"):
        assert ui.ask(f"{root}/mlflow/experiments/delete", "POST", **asked) == 401
    assert ui.ask("/graphql", "POST", json={"query": "{__typename}"}) == 401
    assert client.get_experiment(experiment).lifecycle_stage == "active"
    path = "/api/2.0/mlflow/experiments/delete"
    assert ui.ask(path, "POST", is_owner=True, **asked) == 200
    assert client.get_experiment(experiment).lifecycle_stage == "deleted"


def test_web_pages_of_others_get_nothing_by_a_browser_that_is_logged_in(ui: Ui) -> None:
    # By a name that they let point to loopback, and by a form on their own page.
    for host in ("evil.example", "10.evil.example", f"evil.example:{ui.address[-4:]}"):
        assert ui.ask("/", is_owner=True, headers={"Host": host}) == 403
    path, page = "/ajax-api/2.0/mlflow/experiments/create", {"Origin": "http://evil.example"}
    assert ui.ask(path, "POST", is_owner=True, headers=page, json={"name": "evil"}) == 403


def test_lists_of_processes_and_other_users_see_no_secret(ui: Ui, store: Store) -> None:
    seen = [" ".join(process.cmdline()) for process in ui.processes]
    assert len(seen) >= 3, "the server's own processes are looked at, too"
    (folder,) = ui.private.iterdir()
    settings = (folder / "basic_auth.ini").read_text()
    (key,) = {process.environ()["MLFLOW_FLASK_SERVER_SECRET_KEY"] for process in ui.processes[1:]}
    assert ui.access[1] in settings
    for secret in (ui.access[1], key, store.uri.reveal(), "mlflow.db"):
        assert not [line for line in seen if secret in line]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_password_and_server_are_gone_when_the_terminal_is_closed(
    store: Store, tmp_path: Path, eventually: Callable[[Callable[[], object]], None]
) -> None:
    ui = start(tmp_path, store.uri.reveal())
    processes = ui.processes
    assert len(list(ui.private.iterdir())) == 1
    ui.process.send_signal(signal.SIGHUP)
    assert ui.process.wait(timeout=400) == 0
    assert list(ui.private.iterdir()) == []
    eventually(lambda: all(map(is_gone, processes)))


def test_password_and_server_are_gone_when_the_command_is_killed(
    store: Store, tmp_path: Path, eventually: Callable[[Callable[[], object]], None]
) -> None:
    ui = start(tmp_path, store.uri.reveal())
    processes = ui.processes
    ui.process.kill()
    ui.process.wait()
    eventually(lambda: all(map(is_gone, processes)))
    assert list(ui.private.iterdir()) == []


def test_a_ui_without_a_password_says_so(store: Store, tmp_path: Path) -> None:
    ui = start(tmp_path, store.uri.reveal(), "--no-auth")
    try:
        assert "without a password (--no-auth): everybody" in ui.said
        assert ui.ask("/ajax-api/2.0/mlflow/experiments/search?max_results=1") == 200
        assert ui.ask("/", headers={"Host": "10.evil.example"}) == 403
        assert list(ui.private.iterdir()) == []
    finally:
        ui.process.send_signal(signal.SIGINT)
    assert ui.process.wait(timeout=400) == 0


def test_port_that_is_announced_can_be_nobody_elses(
    greenbench: Greenbench,
    store: Store,
    tmp_path: Path,
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    # A server that never comes so far as to listen.
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(SLOW)
    port = free_port()
    greenbench.environment |= {
        "MLFLOW_TRACKING_URI": store.uri.reveal(), "PYTHONPATH": str(tmp_path / "slow"),
    }  # fmt: skip
    ui = greenbench.start("ui", "--port", str(port))

    def servers() -> list[psutil.Process]:
        assert ui.poll() is None, ui.communicate()
        found = []
        for child in psutil.Process(ui.pid).children(recursive=True):
            # Some last for a moment only.
            with suppress(psutil.Error):
                if {"gunicorn", "uvicorn"} & set(child.cmdline()):
                    found.append(child)
        return found

    eventually(servers)
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(("127.0.0.1", port))
    servers()[0].kill()
    said, _ = ui.communicate(timeout=400)
    assert ui.returncode == 2
    assert "Error: the MLflow UI ended with exit code" in said
    assert "MLflow UI:" not in said


def test_port_of_somebody_else_is_refused_in_one_line(greenbench: Greenbench, store: Store) -> None:
    greenbench.environment["MLFLOW_TRACKING_URI"] = store.uri.reveal()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = greenbench("ui", "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: port {port} cannot be used (Address already in use); choose another, or leave "
        "--port out\n"
    )
