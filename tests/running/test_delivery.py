"""Delivery: what the store could not take waits in the journal's folder."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from greenbench.cases import Case
from greenbench.errors import TrackingError
from greenbench.machine.claims import Claim
from greenbench.machine.locks import Lock
from greenbench.results.journal import Journal
from greenbench.running.delivery import Delivery
from greenbench.running.spool import IDLE_DRIFT, deliver_all
from greenbench.settings import Settings
from greenbench.tracking import Store, session_key
from tests.builders import make_result


class Notices:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def notice(self, message: str) -> None:
        self.lines.append(message)


def deliver(delivery: Delivery, *journals: Journal) -> None:
    """Hand over results, and wait for them."""
    for journal in journals:
        result = journal.read().result
        assert result is not None
        delivery.deliver(journal, result, may_exist=False)
    delivery.close()


def save_nothing(journal: Journal) -> None:
    """Put into the place of a repeat's model what looks like one to whoever brings it on."""
    (journal.model / "data").mkdir(parents=True)
    for name in ("MLmodel", "data/model.pth"):
        (journal.model / name).write_text(name)


def assert_model(settings: Settings, run_id: str, journal: Journal) -> None:
    """Make sure that MLflow has all of it, and nobody else."""
    client = MlflowClient(settings.tracking_uri.reveal())
    found = [each.path for each in client.list_artifacts(run_id, "model")]
    assert found == ["model/MLmodel", "model/data"]
    assert [e.path for e in client.list_artifacts(run_id, "model/data")] == ["model/data/model.pth"]
    assert not journal.model.exists()


def test_idle_drift_waits_with_the_results_until_the_store_is_back(tmp_path: Path) -> None:
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": str(tmp_path)})
    session = settings.journal_dir / "ci-1"
    session.mkdir(parents=True)
    result = make_result()
    journal = Journal.of(session, result.case, result.repeat)
    journal.finish(result)
    save_nothing(journal)
    notices = Notices()
    # A file is in the way of the store's folder.
    (tmp_path / "file").touch()
    away = Delivery(f"sqlite:///{tmp_path}/file/mlflow.db", notices)
    assert len(notices.lines) == 1

    away.deliver(journal, result, may_exist=False)
    away.deliver_idle_drift(session, "ci", 0.2)
    assert len(notices.lines) == 1
    assert (session / IDLE_DRIFT).exists()

    assert deliver_all(settings) == (1, [])
    (row,) = Store.existing(settings.tracking_uri).read_rows()
    assert_model(settings, row["run_id"], journal)
    assert (row["idle_drift"], row["marks"]) == (0.2, "drifted")
    assert not (session / IDLE_DRIFT).exists()
    assert deliver_all(settings) == (0, [])


def test_store_is_made_by_the_first_delivery_and_not_before_training(tmp_path: Path) -> None:
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": str(tmp_path)})
    notices, result = Notices(), make_result()
    journal = Journal.of(tmp_path, result.case, result.repeat)
    journal.finish(result)
    save_nothing(journal)

    delivery = Delivery(settings.tracking_uri, notices, clock=lambda: 0.0)
    with pytest.raises(TrackingError, match="there is no store"):
        Store.existing(settings.tracking_uri)

    deliver(delivery, journal)
    (row,) = Store.existing(settings.tracking_uri).read_rows()
    assert_model(settings, row["run_id"], journal)
    assert journal.read().is_delivered
    assert notices.lines == []


def test_session_finds_what_a_sync_has_delivered_that_was_killed_beside_it(tmp_path: Path) -> None:
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": str(tmp_path)})
    result = make_result()
    journal = Journal.of(tmp_path, result.case, result.repeat)
    journal.finish(result)
    journal.mark_attempted()
    store = Store(settings.tracking_uri)
    store.log_result(result, session_key(journal.path))

    delivery = Delivery(settings.tracking_uri, Notices())

    deliver(delivery, journal)
    assert len(store.read_rows()) == 1
    assert journal.read().is_delivered


def test_store_without_room_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenbench.tracking.local.ROOM_BYTES", 2**60)
    notices = Notices()
    assert Delivery(f"sqlite:///{tmp_path}/mlflow.db", notices).has_failed
    assert "no room for the store" in notices.lines[0]


def test_run_that_another_delivers_is_waited_for_once_however_many_results_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": str(tmp_path)})
    folders = [settings.journal_dir / name for name in ("ci-1", "ci-2")]
    for folder in folders:
        folder.mkdir(parents=True)
        for repeat in range(3):
            Journal.of(folder, Case(), repeat).finish(make_result(repeat=repeat))
    monkeypatch.setattr("greenbench.running.spool.LOCK_LIMIT_S", 1e-9)
    tried: list[str] = []
    acquire = Claim.acquire

    def count(claim: Claim, **how: bool) -> bool:
        tried.append(claim.note.parent.name)
        return acquire(claim, **how)

    monkeypatch.setattr(Claim, "acquire", count)
    with Lock(folders[0] / ".delivery.lock").held(1.0):
        delivered, (error,) = deliver_all(settings)
    assert delivered == 3
    assert "ci-1 are not delivered: another process has been at it" in str(error)
    # At once, and then for as long as there is time.
    assert tried.count("ci-1") == 2
