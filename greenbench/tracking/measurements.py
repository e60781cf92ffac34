"""Measurements in MLflow: metrics and tags of a run, which may be the user's own."""

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from greenbench.machine.secrets import StoreUri
from greenbench.results.marks import merge_marks
from greenbench.text import storable
from greenbench.tracking.asking import DEFAULTS, client_class, translated
from greenbench.tracking.attempts import settle
from greenbench.tracking.experiments import open_experiment
from greenbench.tracking.limits import Limited
from greenbench.tracking.logs import create_run

MEASUREMENTS = "greenbench/measurements"
KIND = "measurement"
OURS = {"kind": KIND, "mlflow.source.name": "greenbench"}
PREFIX = "measure"
METRICS = (
    "energy_wh",
    "uncertainty_wh",
    "cpu_wh",
    "gpu_wh",
    "ram_wh",
    "net_wh",
    "emissions_g",
    "intensity_g_per_kwh",
    "duration_s",
    "cpu_s",
    "other_cpu_share",
)
"""Each a metric ``measure/NAME/…``, with a step a measurement of that name in the run."""
TAGS = (
    "status",
    "energy_provenance",
    "energy_scope",
    "energy_source",
    "energy_reason",
    "marks",
    "meter",
    "emissions_source",
    "host",
)
"""Each a tag ``measure/NAME/…``: of the last measurement of that name, and all of their marks."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """A run of MLflow, and the store that it is in."""

    run_id: str
    uri: str


@dataclass(frozen=True)
class Kept:
    """A measurement that waits for its store.

    Attributes
    ----------
    row : mapping
        What was measured.
    key : str
        Identifies it, where it gets a run of its own.
    run_id : str or None
        The user's own run that it is of.
    """

    row: Row
    key: str
    run_id: str | None


def active_run(environment: Mapping[str, str]) -> Place | None:
    """Return the run that MLflow's own ``mlflow.log_metric`` would write to; None without one.

    MLflow is not imported for that: who has not imported it has started no run.

    Parameters
    ----------
    environment : mapping of str to str
        ``mlflow run`` names a run there.
    """
    mlflow: Any = sys.modules.get("mlflow")
    if mlflow is not None and hasattr(mlflow, "active_run"):
        run = mlflow.active_run()
        if run is not None:
            return Place(str(run.info.run_id), str(mlflow.get_tracking_uri()))
    run_id, uri = environment.get("MLFLOW_RUN_ID"), environment.get("MLFLOW_TRACKING_URI")
    return Place(run_id, uri) if run_id and uri else None


class Record:
    """One run that measurements are written to, one after another.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of its store.
    run_id : str
        Which.
    is_ours : bool
        Whether it ends with what it holds; the user's own goes on.
    """

    def __init__(self, client: Any, run_id: str, *, is_ours: bool) -> None:
        self.run_id = run_id
        self._client, self._is_ours = client, is_ours
        self._steps: dict[str, int] = {}
        self._there: dict[str, set[tuple[int, float]]] = {}
        self._marks: dict[str, str | None] = {}

    def write(self, row: Row) -> None:
        """Write a measurement, as metrics of the next step of its name, and tags."""
        from mlflow.entities import Metric, RunTag  # noqa: PLC0415

        name = str(row["name"])
        step = self._step(name)
        at_ms = _end_ms(row)
        self._marks[name] = merge_marks([self._marks.get(name), row["marks"]])
        texts = {**row, "marks": self._marks[name]}
        self._client.log_batch(
            self.run_id,
            [
                Metric(f"{PREFIX}/{name}/{metric}", row[metric], at_ms, step)
                for metric in METRICS
                if row[metric] is not None
            ],
            (),
            [
                RunTag(f"{PREFIX}/{name}/{tag}", storable(str(texts[tag])))
                for tag in TAGS
                if texts[tag] is not None
            ],
        )
        self._steps[name] = step + 1
        if name in self._there:
            self._there[name].add((at_ms, row["duration_s"]))
        if self._is_ours:
            self._client.set_terminated(self.run_id, "FINISHED", int(time.time() * 1000))

    def has(self, row: Row) -> bool:
        """Return whether a measurement is there: none of that name takes as long, and ends then."""
        name = str(row["name"])
        if name not in self._there:
            found = self._known(name)
            self._there[name] = {(metric.timestamp, metric.value) for metric in found}
            self._steps.setdefault(name, len(found))
        return (_end_ms(row), row["duration_s"]) in self._there[name]

    def _step(self, name: str) -> int:
        if name not in self._steps:
            # Another process may have written there before us.
            self._steps[name] = 0 if self._is_ours else len(self._known(name))
        return self._steps[name]

    def _known(self, name: str) -> list[Any]:
        metric = f"{PREFIX}/{name}/duration_s"
        return list(self._client.get_metric_history(self.run_id, metric))


def _end_ms(row: Row) -> int:
    return int((row["started_at"] + row["duration_s"]) * 1000)


def open_active(place: Place, timeout_s: float) -> Record:
    """Return the user's own run, to write to.

    Its store is whichever MLflow takes, also one that greenbench would not keep results in.
    """
    with translated(StoreUri(place.uri)), undisturbed():
        uri = StoreUri(place.uri)
        client: Any = client_class()(place.uri)
        return Record(
            Limited(client, uri, timeout_s) if uri.is_server else client,
            place.run_id,
            is_ours=False,
        )


def make_run(client: Any, uri: StoreUri, location: str | None, name: str) -> Record:
    """Return a new run for measurements, in an experiment of their own.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    uri : StoreUri
        Of the store.
    location : str or None
        URI of artifacts, if the store has no place of its own for them.
    name : str
        Of the run.

    Raises
    ------
    TrackingError
        If the experiment was deleted.
    """
    experiment, _ = open_experiment(client, uri, MEASUREMENTS, location)
    return Record(client, create_run(client, experiment, OURS, name, None), is_ours=True)


def log_kept(
    client: Any, uri: StoreUri, location: str | None, kept: Kept, records: dict[str, Record]
) -> None:
    """Write a measurement that was kept while its store was away, and only once.

    Parameters
    ----------
    client, uri, location
        As of `make_run`.
    kept : Kept
        What.
    records : dict of str to Record
        Of the users' own runs so far, which know what is there; that of a new one is added.
    """
    if kept.run_id is not None:
        record = records.setdefault(kept.run_id, Record(client, kept.run_id, is_ours=False))
        if not record.has(kept.row):
            record.write(kept.row)
        return
    experiment, _ = open_experiment(client, uri, MEASUREMENTS, location)
    if settle(client, experiment, KIND, kept.key) is None:
        tags = {**OURS, "key": kept.key}
        made = create_run(client, experiment, tags, str(kept.row["name"]), None)
        Record(client, made, is_ours=True).write(kept.row)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the MLflow of a user's own process as it is: its settings, and what it logs."""
    before = {name: os.environ.get(name) for name in DEFAULTS}
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    was_there = "mlflow" in sys.modules
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
        if was_there:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
