"""Delivery: what the store could not take waits in the journal's folder."""

from pathlib import Path

from greenbench.delivery import IDLE_DRIFT, Delivery, deliver_all
from greenbench.journal import Journal
from greenbench.settings import Settings
from greenbench.tracking import Store
from tests.builders import make_result


class Notices:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def notice(self, message: str) -> None:
        self.lines.append(message)


def test_idle_drift_waits_with_the_results_until_the_store_is_back(tmp_path: Path) -> None:
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": str(tmp_path)})
    session = settings.journal_dir / "ci-1"
    session.mkdir(parents=True)
    result = make_result()
    journal = Journal.of(session, result.case, result.repeat)
    journal.finish(result)
    notices = Notices()
    # A file is in the way of the store's folder.
    (tmp_path / "file").touch()
    away = Delivery(f"sqlite:///{tmp_path}/file/mlflow.db", notices)

    assert not away.deliver(journal, result, may_exist=False)
    away.deliver_idle_drift(session, "ci", 0.2)
    assert len(notices.lines) == 1
    assert (session / IDLE_DRIFT).exists()

    assert deliver_all(settings) == (1, [])
    (row,) = Store.existing(settings.tracking_uri).read_rows()
    assert (row["idle_drift"], row["marks"]) == (0.2, "drifted")
    assert not (session / IDLE_DRIFT).exists()
    assert deliver_all(settings) == (0, [])
