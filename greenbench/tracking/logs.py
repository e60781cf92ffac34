"""Logging of results: a run a repeat, a child run a trial."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from greenbench.errors import TrackingError
from greenbench.results import CaseResult, Trial
from greenbench.results.journal import SCHEMA
from greenbench.results.marks import MIXED, add_mark
from greenbench.results.table import (
    ENDED_WELL,
    FURTHER_METRIC,
    METRICS,
    TAGS,
    Row,
    segments_text,
    to_row,
)
from greenbench.text import storable
from greenbench.tracking.attempts import asked_once, confirm, named_data, not_kept, settle
from greenbench.tracking.records import (
    anytime,
    describe,
    learning_curve,
    trial_metrics,
    witness_metrics,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

BEST = "best/"
"""What the names of the incumbent's hyperparameters begin with."""


def log_once(
    client: "MlflowClient",
    experiment: str,
    result: CaseResult,
    key: str,
    *,
    may_exist: bool,
    is_doubted: bool,
) -> str:
    """Log one repeat of a case unless it is there, and return its run's id.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    experiment : str
        Id of the suite's experiment.
    result : CaseResult
        What to log.
    key : str
        Identifies the repeat.
    may_exist : bool
        Whether it is looked for first.
    is_doubted : bool
        Whether the store is asked for what it was told: a server's answers may be lost, or be
        somebody else's.

    Raises
    ------
    TrackingError
        If the store did not keep it.
    """
    repeat = (client, experiment, "case", key, start_ms(result))
    if may_exist and (found := settle(*repeat)):
        if result.mixed:
            marks = client.get_run(found).data.tags.get("marks")
            client.set_tag(found, "marks", add_mark(marks, MIXED))
        return found
    run_id = _log_case(client, experiment, result, key, is_doubted=is_doubted)
    kept = settle(*repeat) if is_doubted else run_id
    if kept is None:
        raise not_kept(run_id)
    return kept


def _log_case(
    client: "MlflowClient", experiment: str, result: CaseResult, key: str, *, is_doubted: bool
) -> str:
    """Log a repeat as a run and its trials as child runs; the run ends last, when all is there."""
    row, started = to_row(result), start_ms(result)
    tags = _case_tags(result, row, key)
    run_id = create_run(client, experiment, tags, result.case.id, started)
    end_ms = started + int(row["duration_s"] * 1000)
    metrics = {METRICS[name]: row[name] for name in METRICS if row[name] is not None}
    metrics |= {f"{FURTHER_METRIC}{name}": value for name, value in result.metrics.items()}
    told = {
        run_id: _log_batch(
            client,
            run_id,
            [(name, value, end_ms, 0) for name, value in metrics.items()]
            + list(anytime(result))
            + list(witness_metrics(result, end_ms)),
            {**result.case.to_dict(), "repeat": result.repeat, **_best(result)},
        )
    }
    told[run_id].add(_log_dataset(client, run_id, result))
    for trial in result.trials:
        told |= _log_trial(client, experiment, run_id, result, trial)
    if is_doubted:
        confirm(client, experiment, run_id, told)
    status = "FINISHED" if result.incumbent else "FAILED"
    client.set_terminated(run_id, status, end_ms)
    return run_id


def start_ms(result: CaseResult) -> int:
    """Return when a repeat started, in ms since 1970-01-01 UTC; 0 if that is not known."""
    return int(result.started_at * 1000)


def create_run(
    client: "MlflowClient", experiment: str, tags: Mapping[str, str], name: str, started: int | None
) -> str:
    """Make a run, and return its id.

    Raises
    ------
    TrackingError
        If the answer names none.
    """
    with asked_once():
        run = client.create_run(experiment, started, _storable(tags), run_name=name)
    if not run.info.run_id:
        raise TrackingError(
            "the MLflow store answered, but made no run: is something else at its address?"
        )
    return str(run.info.run_id)


def _case_tags(result: CaseResult, row: Row, key: str) -> dict[str, str]:
    tags = {name: str(row[name]) for name in TAGS if row[name] is not None}
    tags |= {
        "kind": "case",
        "schema": str(SCHEMA),
        "key": key,
        "session": key.partition("/")[0],
        "mlflow.source.name": "greenbench",
        "repeat": str(result.repeat),
        "mlflow.note.content": describe(result, row),
    }
    for name in ("commit", "branch"):
        if name in result.environment:
            # The names under which MLflow's UI shows them.
            tags[f"mlflow.source.git.{name}"] = result.environment[name]
    return tags


def _log_trial(
    client: "MlflowClient", experiment: str, parent: str, result: CaseResult, trial: Trial
) -> dict[str, set[str]]:
    reading = trial.account.total
    started = int(trial.started_at * 1000) or start_ms(result)
    end_ms = started + int(reading.duration_s * 1000)
    tags = {
        "kind": "trial",
        "trial": str(trial.index),
        "mlflow.parentRunId": parent,
        "case_id": result.case.id,
        "strategy": result.case.strategy,
        "status": trial.status.value,
        "energy_provenance": reading.provenance.value,
        **({"energy_scope": reading.covers} if reading.covers else {}),
        "mlflow.note.content": trial.error or f"Trial {trial.index} of {result.case.id}.",
    }
    if trial.reevaluates is not None:
        tags["reevaluates"] = str(trial.reevaluates)
    if trial.lanes > 1:
        tags["lanes"] = str(trial.lanes)
    if segments := segments_text(trial):
        tags["segments"] = segments
    run_id = create_run(client, experiment, tags, f"trial {trial.index}", started)
    metrics = [*trial_metrics(trial, end_ms), *learning_curve(trial, result.score, started, end_ms)]
    told = _log_batch(client, run_id, metrics, trial.hyperparameters)
    status = "FINISHED" if trial.status in ENDED_WELL else "FAILED"
    client.set_terminated(run_id, status, end_ms)
    return {run_id: told}


def _best(result: CaseResult) -> dict[str, Any]:
    """Return the hyperparameters of the incumbent, under names of their own."""
    found = result.incumbent.hyperparameters if result.incumbent else {}
    return {f"{BEST}{name}": value for name, value in found.items()}


def _log_batch(
    client: "MlflowClient",
    run_id: str,
    metrics: Sequence[tuple[str, float, int, int]],
    params: Mapping[str, Any],
) -> set[str]:
    from mlflow.entities import Metric, Param  # noqa: PLC0415

    # The client splits what is more than a server takes at once.
    client.log_batch(
        run_id,
        [Metric(*metric) for metric in metrics],
        [Param(name, text) for name, text in _storable(params).items()],
    )
    return {*(name for name, *_ in metrics), *params}


def _storable(texts: Mapping[str, Any]) -> dict[str, str]:
    """Return values as texts that every store takes: paths and errors may have any letters."""
    return {name: storable(str(value)) for name, value in texts.items()}


def _log_dataset(client: "MlflowClient", run_id: str, result: CaseResult) -> str:
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415

    data = result.dataset
    # A training of somebody's own loads its data itself.
    sizes = {split: data[split] for split in ("train", "validation", "test") if split in data}
    entity = Dataset(
        name=data["name"],
        digest=data["digest"],
        source_type="local",
        source=json.dumps({"description": data["source"]}),
        schema=json.dumps({name: data.get(name) for name in ("shape", "classes")}),
        profile=json.dumps(sizes),
    )
    tag = InputTag("mlflow.data.context", "train")
    client.log_inputs(run_id, [DatasetInput(entity, [tag])])
    return named_data(data["name"])
