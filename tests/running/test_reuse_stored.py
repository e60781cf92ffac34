"""Results that are taken over from the store, where no folder of a run has them."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.results.table import to_row, to_trial_rows
from greenbench.running.run_folder import RunFolder
from greenbench.settings import Settings
from greenbench.tracking import Store, session_key
from greenbench.tracking.whole import FILE, TAG
from tests.running.reusing import (
    BASIS,
    CASES,
    NEW,
    OLD,
    Pool,
    ran,
    reused,
)

pytestmark = pytest.mark.usefixtures("pool")
CASE = CASES[1]


@pytest.fixture
def there(settings: Settings, new_store: Callable[[Path], Store], tmp_path: Path) -> Store:
    """The store of the settings, made of a copy: to make one takes seconds."""
    store = new_store(tmp_path)
    object.__setattr__(settings, "tracking_uri", store.uri)
    return store


def delivered(store: Store, folder: RunFolder) -> list[CaseResult]:
    """Deliver a run, and delete its folder; return its results."""
    found = []
    for *_, journal in folder.repeats():
        result = journal.read().result
        assert result is not None
        store.log_result(result, session_key(journal.path), basis=journal.basis())
        found.append(result)
    shutil.rmtree(folder.path)
    return found


def again(settings: Settings) -> tuple[dict[tuple[str | None, int], CaseResult], list[str]]:
    said: list[str] = []
    return reused(settings, [CASE], said=said), said


def run_of(store: Store) -> Any:
    (row,) = store.read_rows("other")
    return store._client.get_run(row["run_id"])


def kept_file(store: Store) -> Path:
    return Path(run_of(store).info.artifact_uri.removeprefix("file://")) / FILE


def test_result_of_the_store_is_what_was_measured(
    settings: Settings, there: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    originals = delivered(there, ran(settings))
    said: list[str] = []
    found = reused(settings, said=said)
    assert said == ["starting workers to see whether data are what they were: torch"]
    assert len(found) == len(originals) == 3
    for original in originals:
        result = found[original.case.size, original.repeat]
        assert result.reused_from == OLD
        later_s = result.started_at - original.started_at
        moved = [replace(each, started_at=each.started_at + later_s) for each in original.trials]
        expected = replace(
            original,
            suite="ci",
            reused_from=OLD,
            started_at=result.started_at,
            trials=tuple(moved),
        )
        assert result == expected
        assert to_trial_rows(result) == to_trial_rows(expected)
    case, repeat = originals[0].case, originals[0].repeat
    assert Journal.of(settings.journal_dir / NEW, case, repeat).basis() == BASIS
    # MLflow shows how far a download is.
    assert capfd.readouterr() == ("", "")


def test_result_of_the_store_that_was_reused_keeps_its_origin(
    settings: Settings, there: Store
) -> None:
    delivered(there, ran(settings, [CASE], reused_from="ci-20240101-120000-1", idle_w={"cpu": 9.0}))
    found, _ = again(settings)
    assert {result.reused_from for result in found.values()} == {"ci-20240101-120000-1"}


def test_folder_of_a_run_is_asked_before_the_store(settings: Settings, there: Store) -> None:
    folder = ran(settings, [CASE], is_done=False)
    (case, repeat, journal), *_ = folder.repeats()
    result = journal.read().result
    assert result is not None
    there.log_result(result, session_key(journal.path), basis=BASIS)
    found, said = again(settings)
    assert not found, (case, repeat)
    assert said == ["1 repeat is measured anew: no complete run has their results"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"conditions": "0" * 64}, "no complete run"),
        ({"idle_w": {"cpu": 9.0}}, "does not know by how much idle power changed"),
        ({"environment": {"host": "a", "cpu": "another"}}, "of a machine with another cpu"),
        ({"mixed": ("torch (1, now 2)",)}, "marked as mixed"),
    ],
)
def test_result_of_the_store_is_judged_as_those_of_folders_are(
    settings: Settings, there: Store, changed: dict[str, Any], said: str
) -> None:
    delivered(there, ran(settings, [CASE], **changed))
    found, lines = again(settings)
    assert not found
    assert len(lines) == 1
    assert said in lines[0]


def test_drift_that_the_store_was_told_later_counts(settings: Settings, there: Store) -> None:
    delivered(there, ran(settings, [CASE], idle_w={"cpu": 9.0}))
    there.log_idle_drift("other", OLD, 0.01)
    assert again(settings)[0]
    shutil.rmtree(settings.journal_dir / NEW)
    there.log_idle_drift("other", OLD, 0.5)
    found, said = again(settings)
    assert not found
    assert "marked as drifted" in said[0]


def test_data_that_changed_prevent_reuse_from_the_store(
    settings: Settings, there: Store, pool: type[Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered(there, ran(settings, [CASE]))
    monkeypatch.setattr(pool, "data", {**BASIS, "content": "another"})
    found, said = again(settings)
    assert not found
    assert "the data set digits changed" in said[-1]


def altered(content: bytes, **changed: Any) -> bytes:
    values = json.loads(content)
    values["result"] |= changed
    return json.dumps(values).encode()


BAD: dict[str, Callable[[bytes], bytes]] = {
    "torn": lambda content: content[:-20],
    "not JSON": lambda _: b"\x80\x04K*.",
    "a list": lambda _: b"[]",
    "deep": lambda _: b"[" * 100_000,
    "not finite": lambda content: altered(content, wall_s=float("nan")),
    "too large": lambda content: altered(content, wall_s=1).replace(
        b'"wall_s": 1', b'"wall_s": 1e999'
    ),
    "a text": lambda content: altered(content, wall_s="long"),
    "no trials": lambda content: altered(content, trials=None),
    "more": lambda content: altered(content, surprise=1),
    "outside": lambda content: altered(content, test_score=7.0),
}


def test_damaged_or_foreign_file_is_measured_anew(settings: Settings, there: Store) -> None:
    delivered(there, ran(settings, [CASE]))
    file, run_id = kept_file(there), run_of(there).info.run_id
    begins = "1 repeat is measured anew: their results in the store have "
    whole = file.read_bytes()
    for name, bad in BAD.items():
        content = bad(whole)
        file.write_bytes(content)
        assert again(settings) == (
            {},
            [f"{begins}another {FILE} than was put there"],
        ), name
        there._client.set_tag(run_id, TAG, hashlib.sha256(content).hexdigest())
        assert again(settings) == ({}, [f"{begins}a {FILE} that is none of ours"]), name
    file.write_bytes(whole)
    there._client.set_tag(run_id, TAG, hashlib.sha256(whole).hexdigest())
    assert again(settings)[0]


def test_file_of_another_repeat_is_measured_anew(settings: Settings, there: Store) -> None:
    (original,) = delivered(there, ran(settings, [CASE]))
    other = replace(original, case=CASES[0])
    content = altered(kept_file(there).read_bytes(), case=other.case.to_dict())
    kept_file(there).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    there._client.set_tag(run_of(there).info.run_id, TAG, digest)
    found, said = again(settings)
    assert not found
    assert "do not say that they were measured under these conditions" in said[0]


def test_result_without_its_file_is_measured_anew(settings: Settings, there: Store) -> None:
    delivered(there, ran(settings, [CASE]))
    kept_file(there).unlink()
    assert again(settings) == (
        {},
        [f"1 repeat is measured anew: their results in the store have no {FILE} that can be had"],
    )


def test_result_of_an_older_greenbench_is_measured_anew(settings: Settings, there: Store) -> None:
    delivered(there, ran(settings, [CASE]))
    there._client.delete_tag(run_of(there).info.run_id, TAG)
    found, said = again(settings)
    assert not found
    assert said == [
        "1 repeat is measured anew: their results in the store are an older greenbench's: figures "
        "alone"
    ]


def test_store_that_is_away_is_said_once_and_all_is_measured(settings: Settings) -> None:
    object.__setattr__(settings, "tracking_uri", type(settings.tracking_uri)("http://127.0.0.1:9"))
    said: list[str] = []
    assert not reused(settings, said=said)
    assert len(said) == 2
    assert said[0].startswith("nothing is reused from the store: MLflow store http://127.0.0.1:9 ")
    assert said[1] == "3 repeats are measured anew: no complete run has their results"


def test_figures_are_logged_where_no_file_can_be(
    there: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    refusing = Store(there.uri, said.append)

    def refuse(*_: object) -> None:
        raise PermissionError("no files here")

    monkeypatch.setattr("greenbench.tracking.whole.put_file", refuse)
    originals = delivered(refusing, ran(settings, CASES[:1]))
    rows = refusing.read_rows("other")
    assert [row["energy_wh"] for row in rows] == [to_row(each)["energy_wh"] for each in originals]
    assert len(said) == 1
    assert "`--reuse` will not find all results in the store" in said[0]
