"""No command, test run, log or file shows a password of the store, and no process list."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from greenbench.cli import cli
from greenbench.results.journal import Journal
from tests.builders import make_result
from tests.leaks import FIRST, LAST, check_files, found_in, watched
from tests.mlflow_server import free_port

pytestmark = pytest.mark.integration

CASE = ("-s", "grid", "-a", "dense.xs", "-d", "synthetic", "-b", "torch")
ARGUMENTS = {
    "run": [*CASE, "--trials", "1", "--epochs", "1", "--repeats", "1"],
    "record": ["-a", "dense.xs", "-d", "synthetic", "--trials", "24", "--epochs", "1"],
    "gate": ["--budget", "budgets.toml"],
    "best": ["dense"],
    "check": ["-a", "dense.xs", "-d", "synthetic"],
    "measure": ["--", sys.executable, "-c", "pass"],
    "cluster-script": ["slurm", "--", "run"],
}
"""Of commands that need some."""
MEASURING = {"run", "record", "doctor", "measure"}
"""Commands that take seconds: with one address each, in processes of their own."""

BUDGETS = '[[budget]]\ncase = "*"\nenergy_wh = { max = 1.0 }\n'

ADDRESSES = {
    "refused": "http://bob:hyena-walrus@127.0.0.1:{refusing}",
    "failing": "http://bob:hyena%40walrus@127.0.0.1:{failing}",
    "garbage": "http://bob:hyena%3Awalrus@127.0.0.1:{garbling}",
    "away": "http://:hyena-walrus@[::1]:{closed}",
    "token": "http://hyena-walrus@127.0.0.1:{refusing}",
    "variables": "http://127.0.0.1:{refusing}",
    "query": "http://127.0.0.1:{refusing}?api-key=hyena&passwd=walrus",
    "query, away": "http://127.0.0.1:{closed}/?access_token=hyena%2Fwalrus",
    "slash": "http://bob:hyena/walrus@127.0.0.1:{refusing}",
    "space": "http://bob:hyena walrus@127.0.0.1:{refusing}",
    "at": "http://bob:hyena@walrus@127.0.0.1:{refusing}",
    "question": "http://bob:hyena?a=walrus@127.0.0.1:{refusing}",
    "port": "http://bob:hyena-walrus@127.0.0.1:port",
    "database": "postgresql://bob:hyena/walrus@127.0.0.1:{closed}/m",
    "database, query": "postgresql://127.0.0.1:{closed}/m?user=bob&password=hyena@walrus",
    "database, driver": "postgresql+psycopg2://bob:hyena-walrus@127.0.0.1:{closed}/m?sslmode=prefer",
    "database, key": "postgresql+psycopg2://127.0.0.1:{closed}/m?user=bob&sslpassword=hyena-walrus",
    "database, port": "postgresql://bob:hyena-walrus@127.0.0.1:port/m",
    "odbc": "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7Bx%7D%3BUID%3Dbob%3BPWD%3D%7Bhyena%3Bwalrus%7D",
    "file": "sqlite:///budgets.toml/m.db?password=hyena-walrus",
    "scheme": "ftp://bob:hyena-walrus@host/m",
    "no scheme": "bob:hyena-walrus@host/m",
    "one slash": "http:/bob:hyena-walrus@host/m",
}


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))
    else:
        yield path


ALL = sorted(commands(cli))


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent, as proxies do that explain a refusal."""

    def answer(self) -> None:
        status = self.server.status  # type: ignore[attr-defined]
        body = f"{self.path} {dict(self.headers)}".encode() * (status is not None)
        if status is None:
            self.wfile.write(f"garbage {self.headers['Authorization']}\r\n".encode())
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Servers by what they do, and a port that nobody listens on."""
    servers = {}
    for name, status in (("refusing", 401), ("failing", 500), ("garbling", None)):
        servers[name] = server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        server.status = status  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {**{name: each.server_port for name, each in servers.items()}, "closed": free_port()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with budgets, and a run whose result waits for a store."""
    (tmp_path / "budgets.toml").write_text(BUDGETS)
    session = tmp_path / "mlruns" / "journal" / "ci-1"
    session.mkdir(parents=True)
    result = make_result()
    Journal.of(session, result.case, 0).finish(result)
    monkeypatch.setenv("GREENBENCH_IDLE_S", "0")
    monkeypatch.setenv("GREENBENCH_COUNTRY", "NLD")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_command_is_tried() -> None:
    assert {path[0] for path in ALL} >= {*ARGUMENTS, *MEASURING}
    for path in ALL:
        command: click.Command = cli
        for name in path:
            assert isinstance(command, click.Group)
            command = command.commands[name]
        needed = [each.name for each in command.params if each.required]
        assert not needed or path[0] in ARGUMENTS, f"{path} needs {needed}: add it to ARGUMENTS"


@pytest.fixture
def address(
    request: pytest.FixtureRequest, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment has the address of this name."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESSES[request.param].format(**ports))
    if request.param == "variables":
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"{FIRST}-{LAST}")


@pytest.mark.parametrize("address", ADDRESSES, indirect=True)
@pytest.mark.usefixtures("address")
def test_no_command_shows_the_password(
    place: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    said = ""
    for path in ALL:
        if path[0] in MEASURING:
            continue
        done = CliRunner().invoke(cli, [*path, *ARGUMENTS.get(path[0], ())])
        assert done.exception is None or isinstance(done.exception, SystemExit), path
        assert not found_in(done.output), f"{path}: {found_in(done.output)}"
        said += done.output
    # An address that has none hides none.
    assert "***" in said or "MLFLOW_TRACKING_PASSWORD" in os.environ
    captured = capfd.readouterr()
    assert not found_in(captured.out + captured.err + caplog.text)
    check_files(place)


@pytest.mark.parametrize(
    ("command", "address"),
    [("run", "refused"), ("record", "query"), ("doctor", "variables"), ("measure", "refused")],
    indirect=["address"],
)
@pytest.mark.usefixtures("address")
def test_what_measures_shows_no_password(command: str, place: Path) -> None:
    arguments = [sys.executable, "-m", "greenbench", command, *ARGUMENTS.get(command, ())]
    output, processes, code = watched(arguments, place)

    assert code == 0, output
    assert "***" in output or "MLFLOW_TRACKING_PASSWORD" in os.environ
    assert "greenbench" in processes
    assert not found_in(output + processes)
    check_files(place)


TESTS = """
import os
import warnings

import pytest
from greenbench.settings import Settings


def test_cost(greenbench_case, greenbench_run):
    settings = Settings.from_environment(os.environ)
    results = greenbench_run(greenbench_case)
    assert results == settings


def test_settings(greenbench_run):
    settings = Settings.from_environment(os.environ)
    address = settings.tracking_uri
    warnings.warn(f"{settings} {address}")
    print(settings, address)
    assert settings is None


def test_error(greenbench_run):
    uri = os.environ["MLFLOW_TRACKING_URI"]
    print(uri)
    warnings.warn(f"cannot reach {uri}")
    raise ValueError(f"cannot reach {uri}")


@pytest.mark.parametrize("settings", [Settings.from_environment(os.environ)], ids=repr)
def test_parameter(settings):
    assert settings
"""


@pytest.mark.parametrize("address", ["refused"], indirect=True)
@pytest.mark.usefixtures("address")
def test_pytest_shows_no_password(place: Path) -> None:
    (place / "test_ours.py").write_text(TESTS)
    options = ["--greenbench-strategy", "default", "--greenbench-architecture", "simple_cnn.m"]
    options += ["--greenbench-trials", "1", "--greenbench-epochs", "1", "--greenbench-repeats", "1"]
    options += ["--benchmark-json", "bench.json", "--junitxml", "junit.xml", "--showlocals"]
    options += ["--debug", "--log-level", "DEBUG", "-vv", "-rA", "-o", "junit_logging=all"]
    output, processes, code = watched([sys.executable, "-m", "pytest", *options], place)

    assert code == 1, output
    assert re.search(r"3 failed, 1 passed|4 failed", output), output
    assert not found_in(output + processes)
    assert {"bench.json", "junit.xml"} <= {path.name for path in place.iterdir()}
    # With `--debug`, pytest writes errors of tests down before any plugin may change them.
    log = place / "pytestdebug.log"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(line for line in lines if "cannot reach" not in line))
    check_files(place)
