"""What a survey becomes, and its file."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from greenbench.errors import ConfigurationError
from greenbench.results import TrialStatus
from greenbench.results.account import Account
from greenbench.strategies.survey import SEEDS, parts
from greenbench.tabular import (
    Cost,
    RecordedTraining,
    Recording,
    from_result,
    read_recording,
    write_recording,
)
from tests.builders import make_reading, make_result
from tests.tabular.recordings import (
    EPOCHS,
    EVALUATE_J,
    SURVEY,
    TRAIN_J,
    TRIALS,
    make_recording,
    make_survey,
)

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def recording() -> Recording:
    return make_recording()


@pytest.fixture
def path(recording: Recording, tmp_path: Path) -> Path:
    return write_recording(recording, tmp_path)


def disturb(recording: Recording, calm: int) -> Recording:
    """Return it with so many trainings undisturbed, which cost nothing."""
    changed = [
        replace(each, is_disturbed=place >= calm, train=Cost() if place < calm else each.train)
        for place, each in enumerate(recording.trainings)
    ]
    return replace(recording, trainings=tuple(changed))


def test_survey_becomes_its_parts(recording: Recording) -> None:
    names = [each.part for each in recording.trainings]
    design, again, held_out = parts(TRIALS)
    assert names == ["design"] * design + ["again"] * again + ["held_out"] * held_out
    assert [len(group) for group in recording.repeated] == [SEEDS] * (again // (SEEDS - 1))


def test_costs_are_those_of_an_epoch_and_of_a_validation(recording: Recording) -> None:
    train, evaluate = recording.costs[0]
    assert train == Cost(pytest.approx(TRAIN_J), pytest.approx(1.0), pytest.approx(1.0))
    assert evaluate.energy_j == pytest.approx(EVALUATE_J)


def test_disturbed_trainings_count_for_no_cost(recording: Recording) -> None:
    costs = disturb(recording, calm=5).costs
    assert len(costs) == 5
    assert all(train == Cost() for train, _ in costs)


def test_all_costs_count_where_few_trainings_were_undisturbed(recording: Recording) -> None:
    assert len(disturb(recording, calm=4).costs) == TRIALS


def test_other_processes_disturb_a_training() -> None:
    result = make_survey(environment={"cores": "2"})
    busy = Account({"train": replace(make_reading(), duration_s=10.0, other_cpu_s=5.0)})
    disturbed = replace(result.trials[3], account=busy)
    trials = (*result.trials[:3], disturbed, *result.trials[4:])
    recorded = from_result(replace(result, trials=trials), "digits").trainings
    assert [place for place, each in enumerate(recorded) if each.is_disturbed] == [3]


def test_diverged_training_has_no_curve_from_there_on() -> None:
    recorded = from_result(make_survey(diverging_above=0.03), "digits").trainings
    diverged = [each for each in recorded if each.status is TrialStatus.DIVERGED]
    assert diverged
    assert all(each.val_score == (None,) * EPOCHS for each in diverged)
    assert {each.evaluate for each in recorded} - {None}


def test_case_that_is_no_survey_makes_no_recording() -> None:
    with pytest.raises(ConfigurationError, match=r"expected the strategy 'survey'"):
        from_result(make_result(), "digits")


def test_survey_that_validated_once_makes_no_recording() -> None:
    case = replace(SURVEY, validate_every=None)
    with pytest.raises(ConfigurationError, match="a validation after each epoch"):
        from_result(make_survey(case), "digits")


def test_survey_that_mostly_failed_makes_no_recording() -> None:
    with pytest.raises(ConfigurationError, match=r"trainings of the design are complete"):
        from_result(make_survey(diverging_above=2e-5), "digits")


def test_recording_without_known_energy_is_refused(recording: Recording) -> None:
    unknown = tuple(replace(each, train=None) for each in recording.trainings)
    with pytest.raises(ConfigurationError, match="no training has known energy"):
        replace(recording, trainings=unknown)


@pytest.mark.parametrize("diverging_above", [1.0, 0.03])
def test_file_says_all_that_was_recorded(tmp_path: Path, diverging_above: float) -> None:
    recording = from_result(make_survey(diverging_above=diverging_above), "digits")
    read = read_recording(write_recording(recording, tmp_path))
    for name in set(Recording.__dataclass_fields__) - {"trainings"}:
        assert getattr(read, name) == getattr(recording, name)
    for ours, theirs in zip(recording.trainings, read.trainings, strict=True):
        assert_close(ours, theirs)


def assert_close(ours: RecordedTraining, theirs: RecordedTraining) -> None:
    """Curves are kept in 32 bits, all else exactly."""
    for name in ("train_loss", "val_score"):
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name), abs=1e-6)
    bare = {"train_loss": (), "val_score": ()}
    assert replace(ours, **bare) == replace(theirs, **bare)  # type: ignore[arg-type]


def test_file_is_named_after_network_and_data_set(path: Path) -> None:
    assert path.name == "dense.xs-digits.parquet"


def test_writing_leaves_nothing_else_behind(path: Path) -> None:
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_interrupted_writing_leaves_the_former_file(
    path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def break_off(table: pa.Table, file: Any, **options: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "write_table", break_off)
    with pytest.raises(KeyboardInterrupt):
        write_recording(recording, path.parent)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_folder_that_cannot_be_written_is_named(recording: Recording, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/dense.* cannot be written"):
        write_recording(recording, tmp_path / "file")


def test_whole_cell_is_small(tmp_path: Path) -> None:
    path = write_recording(from_result(make_survey(replace(SURVEY, trials=256)), "a"), tmp_path)
    assert path.stat().st_size < 5e6 / 9


def test_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dense-digits.parquet"
    path.write_text("learning_rate,accuracy\n")
    with pytest.raises(ConfigurationError, match=r"dense-digits.parquet cannot be read as Parq"):
        read_recording(path)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.parquet cannot be read"):
        read_recording(tmp_path / "none.parquet")


def test_cut_off_file_is_named(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigurationError, match=r"cannot be read as Parquet") as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)


def test_table_of_somebody_else_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(ConfigurationError, match=r"other.parquet is no recording of greenbench"):
        read_recording(path)


def rewrite(path: Path, table: pa.Table | None = None, **changed: Any) -> None:
    """Write a recording's file anew with other columns, or other metadata."""
    written = pq.read_table(path)
    values = {**json.loads(written.schema.metadata[b"greenbench"]), **changed}
    metadata = {b"greenbench": json.dumps(values)}
    pq.write_table((table or written).replace_schema_metadata(metadata), path)


def test_other_schema_is_refused(path: Path) -> None:
    rewrite(path, schema=2)
    with pytest.raises(ConfigurationError, match=r"has schema 2; expected 1"):
        read_recording(path)


def test_missing_column_is_named(path: Path) -> None:
    rewrite(path, pq.read_table(path).drop_columns(["train_j"]))
    with pytest.raises(ConfigurationError, match=r"lacks the column train_j"):
        read_recording(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"epochs": 5},
        {"epochs": "many"},
        {"space": {"name": "adam", "dimensions": []}},
        {"provenance": "guess"},
        {"dataset": None},
    ],
    ids=str,
)
def test_metadata_that_makes_no_sense_is_damage(path: Path, changed: dict[str, Any]) -> None:
    rewrite(path, **changed)
    with pytest.raises(ConfigurationError, match=str(path)):
        read_recording(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("part", "other"),
        ("status", "fine"),
        ("learning_rate", 0.5),
        ("val_accuracy", [0.1, 0.2, 0.3, 1.5]),
        ("val_accuracy", [0.1, 0.2, None, 0.3]),
        ("train_loss", [0.1]),
        ("train_loss", [0.1, 0.2, float("nan"), 0.3]),
        ("train_j", -1.0),
        ("train_j", float("inf")),
    ],
    ids=str,
)
def test_row_that_makes_no_sense_is_damage(path: Path, column: str, value: Any) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0][column] = value
    rewrite(path, pa.Table.from_pylist(rows, table.schema))
    with pytest.raises(ConfigurationError, match=f"{path} is damaged"):
        read_recording(path)
