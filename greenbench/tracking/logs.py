"""Logging of results: a run a repeat, a child run a trial."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from greenbench.results import CaseResult, Trial
from greenbench.results.table import ENDED_WELL, METRICS, TAGS, segments_text, to_row
from greenbench.text import storable
from greenbench.tracking.records import (
    anytime,
    describe,
    learning_curve,
    trial_metrics,
    witness_metrics,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_case(client: "MlflowClient", experiment: str, result: CaseResult, key: str) -> str:
    """Log one repeat of a case as a run, its trials as child runs, and return the run's id.

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
    """
    case, row = result.case, to_row(result)
    tags = {name: str(row[name]) for name in TAGS if row[name] is not None}
    tags |= {
        "kind": "case",
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
    start_ms = int(result.started_at * 1000)
    run = client.create_run(experiment, start_ms, _storable(tags), run_name=case.id)
    run_id = str(run.info.run_id)
    end_ms = start_ms + int(row["duration_s"] * 1000)
    metrics = {METRICS[name]: row[name] for name in METRICS if row[name] is not None}
    _log_batch(
        client,
        run_id,
        [(name, value, end_ms, 0) for name, value in metrics.items()]
        + list(anytime(result))
        + list(witness_metrics(result, end_ms)),
        {**case.to_dict(), "repeat": result.repeat},
    )
    _log_dataset(client, run_id, result)
    for trial in result.trials:
        _log_trial(client, experiment, run_id, result, trial)
    status = "FINISHED" if result.incumbent else "FAILED"
    client.set_terminated(run_id, status, end_ms)
    return run_id


def _log_trial(
    client: "MlflowClient", experiment: str, parent: str, result: CaseResult, trial: Trial
) -> None:
    reading = trial.account.total
    start_ms = int(trial.started_at * 1000) or int(result.started_at * 1000)
    end_ms = start_ms + int(reading.duration_s * 1000)
    tags = {
        "kind": "trial",
        "trial": str(trial.index),
        "mlflow.parentRunId": parent,
        "case_id": result.case.id,
        "strategy": result.case.strategy,
        "status": trial.status.value,
        "energy_provenance": reading.provenance.value,
        "mlflow.note.content": trial.error or f"Trial {trial.index} of {result.case.id}.",
    }
    if trial.reevaluates is not None:
        tags["reevaluates"] = str(trial.reevaluates)
    if trial.lanes > 1:
        tags["lanes"] = str(trial.lanes)
    if segments := segments_text(trial):
        tags["segments"] = segments
    run = client.create_run(experiment, start_ms, _storable(tags), run_name=f"trial {trial.index}")
    metrics = [*trial_metrics(trial, end_ms), *learning_curve(trial, start_ms, end_ms)]
    _log_batch(client, run.info.run_id, metrics, trial.hyperparameters)
    status = "FINISHED" if trial.status in ENDED_WELL else "FAILED"
    client.set_terminated(run.info.run_id, status, end_ms)


def _log_batch(
    client: "MlflowClient",
    run_id: str,
    metrics: Sequence[tuple[str, float, int, int]],
    params: Mapping[str, Any],
) -> None:
    from mlflow.entities import Metric, Param  # noqa: PLC0415

    # The client splits what is more than a server takes at once.
    client.log_batch(
        run_id,
        [Metric(*metric) for metric in metrics],
        [Param(name, text) for name, text in _storable(params).items()],
    )


def _storable(texts: Mapping[str, Any]) -> dict[str, str]:
    """Return values as texts that every store takes: paths and errors may have any letters."""
    return {name: storable(str(value)) for name, value in texts.items()}


def _log_dataset(client: "MlflowClient", run_id: str, result: CaseResult) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415

    data = result.dataset
    sizes = {split: data[split] for split in ("train", "validation", "test")}
    entity = Dataset(
        name=data["name"],
        digest=data["digest"],
        source_type="local",
        source=json.dumps({"description": data["source"]}),
        schema=json.dumps({"shape": data["shape"], "classes": data["classes"]}),
        profile=json.dumps(sizes),
    )
    tag = InputTag("mlflow.data.context", "train")
    client.log_inputs(run_id, [DatasetInput(entity, [tag])])
