"""No store is waited for without an end, nor while the machine is locked."""

import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from greenbench.energy.hostlock import host_lock
from greenbench.errors import TrackingError
from greenbench.machine.locks import Lock
from greenbench.settings import Settings
from greenbench.tracking import Store
from tests.builders import make_result
from tests.conftest import Greenbench
from tests.faults import silent_server as behaviour
from tests.faults.silent_server import silent_server
from tests.mlflow_server import free_port

# A wait without an end would be one of the whole suite.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

LIMIT_S = 1.0
SECRET = "hunter2"
GIVEN_UP = r"gave no whole answer within 1 s.*GREENBENCH_STORE_TIMEOUT_S"
RUN = (
    "run",
    "-s",
    "default",
    "-a",
    "simple_cnn.s",
    "-d",
    "digits",
    "--epochs",
    "1",
    "--repeats",
    "1",
)
ENDLESS = (behaviour.dripping_head, behaviour.dripping_body, behaviour.dripping_refusal)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("behave", [behaviour.mute, *ENDLESS])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_opening_a_server_that_never_ends_is_given_up(behave: Any, scheme: str) -> None:
    with silent_server(behave) as server:
        url = f"{scheme}://bob:{SECRET}@127.0.0.1:{server.port}"
        with pytest.raises(TrackingError) as error:
            Store(url, timeout_s=LIMIT_S)
    said = str(error.value)
    assert f"127.0.0.1:{server.port}" in said
    assert SECRET not in said
    assert "\n" not in said


def test_the_limit_is_said_with_what_to_set() -> None:
    with (
        silent_server(behaviour.dripping_body) as server,
        pytest.raises(TrackingError, match=GIVEN_UP),
    ):
        Store(server.url, timeout_s=LIMIT_S)


def test_a_server_that_asks_for_an_hour_is_asked_again_at_once_and_no_more() -> None:
    with silent_server(behaviour.patient) as server:
        with pytest.raises(TrackingError, match="429"):
            Store(server.url)
        assert server.connections == 2


class Pretending:
    """A client of MLflow all of whose methods wait for ever."""

    def __init__(self, over: threading.Event) -> None:
        self._over = over

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_, **__: self._over.wait()


@pytest.fixture
def stuck(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store that is open, and whose server then no longer answers."""
    from greenbench.machine.secrets import StoreUri  # noqa: PLC0415
    from greenbench.tracking.limits import Limited  # noqa: PLC0415

    over = threading.Event()
    monkeypatch.setattr(
        store, "_client", Limited(Pretending(over), StoreUri("http://host:1"), LIMIT_S)
    )
    yield store
    over.set()


@pytest.mark.parametrize(
    "use",
    [
        lambda store, _: store.log_result(make_result(suite="stuck"), "s/a"),
        lambda store, _: store.log_result(make_result(suite="stuck"), "s/a", may_exist=True),
        lambda store, _: store.read_rows(),
        lambda store, _: store.experiments(),
        lambda store, _: store.environments({"host"}),
        lambda store, _: store.log_idle_drift("ci", "s", 0.1),
        lambda store, _: store.seed_views(),
        lambda store, folder: store.log_report(folder, [Path("report.html")]),
    ],
)
def test_every_use_of_a_store_that_no_longer_answers_is_given_up(
    stuck: Store, use: Callable[[Store, Path], object], tmp_path: Path
) -> None:
    (tmp_path / "report.html").touch()
    with pytest.raises(TrackingError, match=GIVEN_UP):
        use(stuck, tmp_path)


def test_charts_are_done_without_if_their_store_no_longer_answers(stuck: Store) -> None:
    assert stuck.charts_url("ci") is None


def test_a_name_server_that_never_answers_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        over.wait()
        raise OSError("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        with pytest.raises(TrackingError, match=GIVEN_UP):
            Store("http://mlflow.example:5000", timeout_s=LIMIT_S)
    finally:
        over.set()


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_a_database_that_takes_connections_and_says_nothing_is_given_up_on(driver: str) -> None:
    pytest.importorskip(driver)
    with silent_server(behaviour.mute) as server:
        uri = f"postgresql+{driver}://bob:{SECRET}@127.0.0.1:{server.port}/mlflow"
        with pytest.raises(TrackingError, match=GIVEN_UP) as error:
            Store(uri, timeout_s=LIMIT_S)
    assert SECRET not in str(error.value)


def test_a_database_that_another_holds_locked_is_given_up_on(store: Store) -> None:
    database = store.uri.reveal().removeprefix("sqlite:///")
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingError, match=r"locked|GREENBENCH_STORE_TIMEOUT_S"):
            Store(store.uri, timeout_s=LIMIT_S).log_result(make_result(suite="locked"), "s/a")
        other.execute("ROLLBACK")


def test_a_store_that_another_process_opens_for_ever_is_given_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenbench.tracking.local.LOCK_LIMIT_S", LIMIT_S)
    with Lock(tmp_path / "mlflow.db.lock").held(LIMIT_S):
        uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
        for opened in (Store, Store.prepare):
            with pytest.raises(TrackingError, match=r"by another process for 1 s"):
                opened(uri, timeout_s=LIMIT_S)


def test_a_dead_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", f"http://bob:{SECRET}@{proxy}")
    with pytest.raises(
        TrackingError, match=rf"through the proxy \S*{proxy} \(HTTP_PROXY\)"
    ) as error:
        Store("http://mlflow.example:5000", timeout_s=LIMIT_S)
    assert SECRET not in str(error.value)


def test_a_limit_of_any_size_is_taken(store: Store) -> None:
    settings = Settings.from_environment({"GREENBENCH_STORE_TIMEOUT_S": "1e300"})
    assert isinstance(Store(store.uri, timeout_s=settings.store_timeout_s).read_rows(), list)


@pytest.mark.parametrize("behave", [behaviour.mute, behaviour.dripping_body])
def test_a_run_waits_without_the_host_lock_and_then_keeps_its_result(
    greenbench: Greenbench, behave: Any
) -> None:
    waits: list[str] = []
    with silent_server(behave) as server:
        greenbench.environment |= {
            "MLFLOW_TRACKING_URI": server.url,
            "GREENBENCH_STORE_TIMEOUT_S": "8",
        }
        run = greenbench.start(*RUN)
        assert server.asked.wait(400)
        with host_lock(Path(greenbench.environment["GREENBENCH_HOST_LOCK"]), waits.append):
            assert waits == []
        said, _ = run.communicate(timeout=400)
    assert run.returncode == 0, said
    assert said.count(f"MLflow store {server.url}") == 1, said
    assert "results wait in the journal: `greenbench sync` delivers them" in said
    assert len(greenbench.journals) == 1


def test_doctor_says_what_keeps_it_and_goes_on(greenbench: Greenbench) -> None:
    with silent_server(behaviour.patient) as server:
        greenbench.environment |= {"MLFLOW_TRACKING_URI": server.url}
        done = greenbench("doctor", "--json", timeout_s=400)
    assert done.returncode == 0, done.stderr
    assert "429" in done.stdout


def test_ctrl_c_ends_a_wait_at_once(greenbench: Greenbench) -> None:
    with silent_server(behaviour.dripping_body) as server:
        greenbench.environment |= {
            "MLFLOW_TRACKING_URI": server.url,
            "GREENBENCH_STORE_TIMEOUT_S": "1e9",
        }
        waiting = greenbench.start("compare", "strategies")
        assert server.asked.wait(400)
        waiting.send_signal(signal.SIGINT)
        said, _ = waiting.communicate(timeout=400)
    assert waiting.returncode not in (0, None)
    assert "Traceback" not in said
