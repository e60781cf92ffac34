"""A team's store, as its page sets it up: nothing is lost or twice, and no password is seen."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from greenbench.errors import TrackingError
from greenbench.machine.secrets import StoreUri
from greenbench.tracking import Store
from tests.builders import make_result
from tests.leaks import check_files, found_in, watching
from tests.team import COMPOSE, Postgres, Team, postgres, services, team

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

PASSWORD = "hyena-walrus"
CASE = ["-a", "dense.xs", "-d", "synthetic", "-b", "torch"]
CASE += ["--trials", "2", "--epochs", "1", "--keep-models"]
CASE += ["-s", "random", "-s", "grid"]
REPEATS, TRIALS = 2, 2
# A machine with another number of cores, as far as anybody can tell.
OTHER_HOST = "import os\nos.cpu_count = lambda: 77\n"

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres(PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: Postgres) -> Iterator[Team]:
    """The server, on which bob and ann have accounts."""
    with team(tmp_path_factory.mktemp("team"), database) as started:
        with pytest.MonkeyPatch.context() as patched:
            of_admin(patched, started)
            from mlflow.server.auth.client import AuthServiceClient  # noqa: PLC0415

            for user in ("bob", "ann"):
                AuthServiceClient(started.url()).create_user(user, PASSWORD)
        yield started


def of_admin(patched: pytest.MonkeyPatch, server: Team) -> None:
    user, password = server.admin
    patched.setenv("MLFLOW_TRACKING_USERNAME", user)
    patched.setenv("MLFLOW_TRACKING_PASSWORD", password)


@pytest.fixture
def client(server: Team, monkeypatch: pytest.MonkeyPatch) -> "MlflowClient":
    """MLflow's own client, of the administrator."""
    from mlflow import MlflowClient  # noqa: PLC0415

    of_admin(monkeypatch, server)
    return MlflowClient(server.url())


class Host:
    """One machine of a team, with runs, a lock and a user of its own."""

    def __init__(self, folder: Path, name: str, store: dict[str, str], custom: str = "") -> None:
        self.folder = folder / name
        self.folder.mkdir()
        (self.folder / "site").mkdir()
        (self.folder / "site" / "sitecustomize.py").write_text(custom)
        self.runs = self.folder / "runs"
        self.environment = {
            **os.environ,
            **store,
            "PYTHONPATH": str(self.folder / "site"),
            "GREENBENCH_RUNS_DIR": str(self.runs),
            "GREENBENCH_HOST_LOCK": str(self.folder / "host.lock"),
            "GREENBENCH_IDLE_S": "0",
            "GREENBENCH_COUNTRY": "NLD",
        }
        self.output = ""

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "greenbench", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, process: "subprocess.Popen[str]") -> int:
        """Wait for a command, keep what it said, and return its exit code."""
        said, _ = process.communicate(timeout=900)
        self.output += said
        return process.returncode

    def __call__(self, *arguments: str) -> int:
        return self.end(self.start(*arguments))

    def told(self, event: str) -> int:
        """Return how many lines of this kind the journals have."""
        texts = [path.read_text() for path in self.runs.glob("journal/*/*.jsonl")]
        return sum(text.count(f'"event": "{event}"') for text in texts)


def test_compose_file_is_valid_and_holds_no_secret() -> None:
    checked = CliRunner().invoke(
        check_jsonschema, ["--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    )
    assert checked.exit_code == 0, checked.output
    for name, service in services().items():
        image = service.get("image") or service["build"]["dockerfile_inline"]
        assert re.search(r":\d+|>=\d.*<\d", image), f"{name} is any version"
        for variable, text in service.get("environment", {}).items():
            is_secret = re.search("PASSWORD|SECRET|KEY|TOKEN", variable)
            assert not is_secret or text.startswith("/run/secrets/"), variable
            assert StoreUri(text).reveal() == str(StoreUri(text)), variable


def test_two_hosts_write_at_once_while_server_and_database_restart(
    server: Team, client: "MlflowClient", tmp_path: Path, eventually: Eventually
) -> None:
    by_variables = {
        "MLFLOW_TRACKING_URI": server.url(),
        "MLFLOW_TRACKING_USERNAME": "bob",
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    }
    by_address = {
        "MLFLOW_TRACKING_URI": server.url(f"ann:{PASSWORD}@"),
        "MLFLOW_TRACKING_USERNAME": "",
        "MLFLOW_TRACKING_PASSWORD": "",
    }
    bob = Host(tmp_path, "bob", by_variables)
    ann = Host(tmp_path, "ann", by_address, OTHER_HOST)
    with watching() as processes:
        asked = ("run", *CASE, "--repeats", str(REPEATS))
        runs = [(host, host.start(*asked)) for host in (bob, ann)]
        # Somebody is under way then, and nobody has ended.
        eventually(lambda: bob.told("delivered") + ann.told("delivered"), 900)
        server.restart()
        for host, run in runs:
            assert host.end(run) == 0, host.output
        sync = ann.start("sync")
        server.database.restart()
        ann.end(sync)
        for host in (bob, ann):
            assert host("sync") == 0, host.output
        compare = ("compare", "strategies", "--include-disturbed", "--json")
        assert bob(*compare) == 0, bob.output
        assert ann("report") == 0, ann.output

    for host in (bob, ann):
        assert host.told("result") == host.told("delivered") == 2 * REPEATS
    cases, trials = logged(client)
    assert Counter(run.data.tags["strategy"] for run in cases) == dict.fromkeys(
        ["random", "grid"], 2 * REPEATS
    )
    assert Counter(run.data.tags["key"] for run in cases).most_common(1)[0][1] == 1
    assert len({run.data.tags["host"] for run in cases}) == 2
    expected = {(run.info.run_id, str(i)) for run in cases for i in range(TRIALS)}
    found = [(run.data.tags["mlflow.parentRunId"], run.data.tags["trial"]) for run in trials]
    assert Counter(found) == dict.fromkeys(expected, 1)
    for run in cases:
        names = {file.path for file in client.list_artifacts(run.info.run_id, "model")}
        assert "model/MLmodel" in names
        assert (server.artifacts / "1" / run.info.run_id / "artifacts/model/MLmodel").is_file()
    assert list(server.artifacts.rglob("report.html"))

    said = bob.output + ann.output
    assert not found_in(said)
    assert not found_in("\n".join(processes))
    assert any("mlflow server" in each for each in processes)
    for folder in (bob.runs, ann.runs, server.artifacts):
        check_files(folder)
    assert not found_in(server.log.read_text())
    assert not found_in((server.database.folder / "log").read_text())
    assert not found_in(server.database.dump())


def logged(client: "MlflowClient") -> tuple[list[Any], list[Any]]:
    """Return the runs of repeats and of trials that count."""
    experiment = client.get_experiment_by_name("greenbench/adhoc")
    assert experiment is not None
    kinds = [
        client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'", max_results=5000)
        for kind in ("case", "trial")
    ]
    cases = [run for run in kinds[0] if run.info.status == "FINISHED"]
    parents = {run.info.run_id for run in cases}
    return cases, [run for run in kinds[1] if run.data.tags["mlflow.parentRunId"] in parents]


def test_what_somebody_else_left_half_delivered_is_finished_by_who_may_not_delete_it(
    server: Team, client: "MlflowClient", monkeypatch: pytest.MonkeyPatch, suite: str
) -> None:
    result = make_result(suite=suite)
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    first, second = (Store(server.url(f"{user}:{PASSWORD}@")) for user in ("bob", "ann"))
    kept = first.log_result(result, "s/a")
    # As if it had been cut off in a trial, which is told anew.
    trial = f"SELECT min(run_uuid) FROM tags WHERE key = 'mlflow.parentRunId' AND value = '{kept}'"
    cut_off = f"run_uuid = '{kept}' OR run_uuid = ({trial})"
    server.database.ask(f"UPDATE runs SET status = 'RUNNING' WHERE {cut_off}")
    again = second.log_result(result, "s/a", may_exist=True)
    rows = second.read_rows(suite)
    assert [row["run_id"] for row in rows] == [again] == [kept]
    trials = [row["trial"] for row in second.read_trials(rows)]
    assert trials == [trial.index for trial in result.trials]
    assert second.log_result(result, "s/a", may_exist=True) == again


def test_who_has_no_account_is_told_so_without_a_password(
    server: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "eve")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    with pytest.raises(TrackingError) as refused:
        Store(server.url())
    said = str(refused.value)
    assert re.search("401|UNAUTHENTICATED|not authenticated", said), said
    assert not found_in(said)
    assert "\n" not in said
