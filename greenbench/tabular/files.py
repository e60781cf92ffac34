"""Recordings as Parquet files: one row a training, and the rest as JSON in the metadata."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from greenbench.errors import ConfigurationError, GreenbenchError
from greenbench.machine.files import replacing
from greenbench.results import TrialStatus
from greenbench.results.readings import Provenance
from greenbench.strategies.dimensions import Dimension
from greenbench.strategies.spaces import SearchSpace
from greenbench.tabular.recording import PARTS, Cost, RecordedTraining, Recording

SCHEMA_VERSION = 1
SUFFIX = ".parquet"

_KEY = b"greenbench"
_CURVE = pa.list_(pa.float32())
_COST_COLUMNS = {
    phase: {field: f"{phase}_{unit}" for field, unit in units}
    for phase in ("train", "evaluate")
    for units in [(("energy_j", "j"), ("duration_s", "s"), ("cpu_s", "cpu_s"))]
}
_PLAIN = (
    "network", "name", "epochs", "batch_size", "parameters", "train_flops_per_sample",
    "dataset", "source", "environment", "emissions", "recorded_on",
)  # fmt: skip


def write_recording(recording: Recording, folder: Path) -> Path:
    """Write a recording into a folder, as a whole or not at all; return its file.

    Raises
    ------
    ConfigurationError
        If the folder cannot be written.
    """
    path = folder / f"{recording.id}{SUFFIX}"
    rows = [_to_row(training) for training in recording.trainings]
    schema = _schema(recording.dimensions).with_metadata({_KEY: _to_json(recording)})
    table = pa.Table.from_pylist(rows, schema)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            pq.write_table(table, file, compression="zstd")
    except OSError as error:
        raise ConfigurationError(
            f"recording {path} cannot be written ({error.strerror or error}); "
            "choose another folder with --output-dir"
        ) from error
    return path


def read_recording(path: Path) -> Recording:
    """Read a recording, and check all that it says.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, or is no recording of this version.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise _unusable(path, f"cannot be read as Parquet ({reason})") from error
    metadata = (table.schema.metadata or {}).get(_KEY)
    if metadata is None:
        raise _unusable(path, "is no recording of greenbench")
    try:
        values = json.loads(metadata)
        if values["schema"] != SCHEMA_VERSION:
            raise _unusable(path, f"has schema {values['schema']!r}; expected {SCHEMA_VERSION}")
        return _from_table(values, table)
    except GreenbenchError as error:
        raise error if str(path) in str(error) else _unusable(path, str(error)) from error
    except (LookupError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise _unusable(path, f"is damaged ({reason})") from error


def _unusable(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"recording {path} {reason}; record it with `greenbench record`")


def _schema(dimensions: Sequence[Dimension]) -> pa.Schema:
    kinds = {"float": pa.float64(), "int": pa.int64()}
    costs = [name for names in _COST_COLUMNS.values() for name in names.values()]
    return pa.schema(
        [
            ("part", pa.string()),
            *((dimension.name, kinds[dimension.type]) for dimension in dimensions),
            ("status", pa.string()),
            ("train_loss", _CURVE),
            ("val_accuracy", _CURVE),
            *((name, pa.float64()) for name in costs),
            ("is_disturbed", pa.bool_()),
        ]
    )


def _to_json(recording: Recording) -> str:
    values = {name: getattr(recording, name) for name in _PLAIN}
    values["schema"] = SCHEMA_VERSION
    values["provenance"] = recording.provenance.value
    values["space"] = {
        "name": recording.space.name,
        "dimensions": [asdict(each) for each in recording.dimensions],
    }
    return json.dumps(values)


def _to_row(training: RecordedTraining) -> dict[str, Any]:
    row = {
        "part": training.part,
        **training.hyperparameters,
        "status": training.status.value,
        "train_loss": training.train_loss,
        "val_accuracy": training.val_score,
        "is_disturbed": training.is_disturbed,
    }
    for phase, names in _COST_COLUMNS.items():
        cost = getattr(training, phase)
        row |= {name: cost and getattr(cost, field) for field, name in names.items()}
    return row


def _from_table(values: Mapping[str, Any], table: pa.Table) -> Recording:
    dimensions = [Dimension(**dimension) for dimension in values["space"]["dimensions"]]
    space = SearchSpace(values["space"]["name"], tuple(dimensions))
    schema = _schema(dimensions)
    if missing := [name for name in schema.names if name not in table.column_names]:
        raise ConfigurationError(f"lacks the column {', '.join(missing)}")
    rows = table.select(schema.names).cast(schema).to_pylist()
    for key, kind in (("epochs", int), ("batch_size", int), ("dataset", dict)):
        if not isinstance(values[key], kind):
            raise TypeError(f"{key} is {values[key]!r}")
    return Recording(
        **{name: values[name] for name in _PLAIN},
        space=space,
        provenance=Provenance(values["provenance"]),
        trainings=tuple(_from_row(row, space, values["epochs"]) for row in rows),
    )


def _from_row(row: Mapping[str, Any], space: SearchSpace, epochs: int) -> RecordedTraining:
    training = RecordedTraining(
        part=row["part"],
        hyperparameters={d.name: row[d.name] for d in space.dimensions},
        status=TrialStatus(row["status"]),
        train_loss=tuple(row["train_loss"]),
        val_score=tuple(row["val_accuracy"]),
        train=_cost(row, "train"),
        evaluate=_cost(row, "evaluate"),
        is_disturbed=row["is_disturbed"],
    )
    if training.part not in PARTS:
        raise ValueError(f"part is {training.part!r}; expected {', '.join(PARTS)}")
    for dimension in space.dimensions:
        if (value := training.hyperparameters[dimension.name]) not in dimension:
            raise ValueError(f"{dimension.name} is {value}, outside the space")
    for curve in (training.train_loss, training.val_score):
        has_gap = training.is_complete and None in curve
        if len(curve) != epochs or has_gap or not all(0 <= (v or 0.0) < math.inf for v in curve):
            raise ValueError(f"a curve of {epochs} epochs is {curve}")
    if any(accuracy is not None and accuracy > 1 for accuracy in training.val_score):
        raise ValueError(f"val_accuracy is {training.val_score}; expected 0 to 1")
    return training


def _cost(row: Mapping[str, Any], phase: str) -> Cost | None:
    figures = {field: row[name] for field, name in _COST_COLUMNS[phase].items()}
    if any(value is None for value in figures.values()):
        return None
    if not all(0 <= value < math.inf for value in figures.values()):
        raise ValueError(f"what it cost to {phase} is {figures}")
    return Cost(**figures)
