"""Logging of results: a run a repeat, a child run a trial, one call to the store after another."""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenbench.errors import TrackingError
from greenbench.results import CaseResult, Trial
from greenbench.results.journal import SCHEMA
from greenbench.results.marks import MIXED, add_mark
from greenbench.results.table import (
    ENDED_WELL,
    METRICS,
    TAGS,
    Row,
    segments_text,
    to_row,
)
from greenbench.text import storable
from greenbench.tracking.asking import unquoted
from greenbench.tracking.attempts import (
    asked_once,
    confirm,
    ended_trials,
    has_ended,
    holds,
    named_data,
    not_kept,
    put_away,
    settle,
)
from greenbench.tracking.bulk import PARENT
from greenbench.tracking.records import (
    LONGEST_NAME,
    MetricStep,
    anytime,
    describe,
    further,
    learning_curve,
    trial_metrics,
    witness_metrics,
)
from greenbench.tracking.whole import TAG as WHOLE_TAG
from greenbench.tracking.whole import Whole

if TYPE_CHECKING:
    from mlflow import MlflowClient

Steps = Generator[None, None, str]
"""Of a result into the store, each at most one call to it but for looking; the id of its run."""

BEST = "best/"
"""What the names of the incumbent's hyperparameters begin with."""
LONGEST_TAG = 8000
"""Letters of a tag's value that MLflow's tables have room for: SQLite takes more all the same, and
other databases refuse the run."""


def log_steps(
    client: "MlflowClient",
    experiment: str,
    whole: Whole,
    key: str,
    *,
    may_exist: bool,
    is_doubted: bool,
) -> Steps:
    """Log one repeat of a case unless it is there, a call to the store a step; return its run's id.

    A run a repeat, with a file, and a child run a trial: three calls each, or more. MLflow has
    none that makes several runs, nor one that makes a run with its figures.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    experiment : str
        Id of the suite's experiment.
    whole : Whole
        The result, all of which its run has as a file.
    key : str
        Identifies the repeat.
    may_exist : bool
        Whether it is looked for first; what was cut off is gone on with.
    is_doubted : bool
        Whether the store is asked for what it was told: a server's answers may be lost, or be
        somebody else's.

    Raises
    ------
    TrackingError
        If the store did not keep it.
    """
    result = whole.result
    repeat = (client, experiment, "case", key, start_ms(result))
    begun = settle(*repeat, may_go_on=True) if may_exist else None
    if begun is not None and result.mixed:
        marks = add_mark(begun.data.tags.get("marks"), MIXED)
        client.set_tag(begun.info.run_id, "marks", marks)
    if begun is not None and has_ended(begun):
        return str(begun.info.run_id)
    yield
    logged = _Repeat(client, experiment, whole)
    run_id = yield from logged.steps(key, begun, is_doubted=is_doubted)
    yield
    if is_doubted:
        kept = settle(*repeat)
        if kept is None:
            raise not_kept(run_id)
        run_id = str(kept.info.run_id)
    return run_id


@dataclass(frozen=True)
class _Repeat:
    """A repeat that becomes a run; the run ends last, when all is there."""

    client: "MlflowClient"
    experiment: str
    whole: Whole

    @property
    def result(self) -> CaseResult:
        """What is logged."""
        return self.whole.result

    def steps(self, key: str, begun: Any | None, *, is_doubted: bool) -> Steps:
        """Log it with its trials, or what is left of it to a run that was `begun`."""
        result, client, row = self.result, self.client, to_row(self.result)
        if begun is None:
            tags = {**_case_tags(result, row, key), WHOLE_TAG: self.whole.digest}
            run = made_run(client, self.experiment, tags, result.case.id, start_ms(result))
            trials: dict[str, Any] = {}
        else:
            run, trials = begun, ended_trials(client, self.experiment, str(begun.info.run_id))
        run_id = str(run.info.run_id)
        yield
        end_ms = start_ms(result) + int(row["duration_s"] * 1000)
        figures = _case_figures(result, row, end_ms)
        data = named_data(result.dataset["name"])
        told = {run_id: {*figures.names, data}}
        if begun is None or not holds(begun, told[run_id]):
            # Before its figures: who goes on where it was cut off keeps it, too.
            self.whole.keep(run)
            yield
            _log_batch(client, run_id, figures)
            yield
            _log_dataset(client, run_id, result)
            yield
        for trial in result.trials:
            told |= yield from self._trial(run_id, trial, trials.get(str(trial.index)))
        if is_doubted:
            confirm(client, self.experiment, run_id, told)
            yield
        client.set_terminated(run_id, "FINISHED" if result.incumbent else "FAILED", end_ms)
        return run_id

    def _trial(
        self, parent: str, trial: Trial, known: Any | None
    ) -> Generator[None, None, dict[str, set[str]]]:
        """Log a trial unless it is known; return what its run was told."""
        client, result = self.client, self.result
        started = int(trial.started_at * 1000) or start_ms(result)
        end_ms = started + int(trial.account.total.duration_s * 1000)
        curve = learning_curve(trial, result.score, started, end_ms)
        figures = _Figures((*trial_metrics(trial, end_ms), *curve), trial.hyperparameters)
        if known is not None:
            run_id = str(known.info.run_id)
            if holds(known, figures.names):
                return {run_id: figures.names}
            # A server said yes, and did not keep it.
            put_away(client, [run_id])
            yield
        tags = _trial_tags(result, trial, parent)
        run_id = create_run(client, self.experiment, tags, f"trial {trial.index}", started)
        yield
        _log_batch(client, run_id, figures)
        yield
        client.set_terminated(
            run_id, "FINISHED" if trial.status in ENDED_WELL else "FAILED", end_ms
        )
        yield
        return {run_id: figures.names}


@dataclass(frozen=True)
class _Figures:
    """What a run is told in one call."""

    metrics: Sequence[MetricStep]
    params: Mapping[str, Any]

    @property
    def names(self) -> set[str]:
        """Those of metrics and parameters."""
        return {*(name for name, *_ in self.metrics), *self.params}


def start_ms(result: CaseResult) -> int:
    """Return when a repeat started, in ms since 1970-01-01 UTC; 0 if that is not known."""
    return int(result.started_at * 1000)


def create_run(
    client: "MlflowClient", experiment: str, tags: Mapping[str, str], name: str, started: int | None
) -> str:
    """Make a run, and return its id; see `made_run`."""
    return str(made_run(client, experiment, tags, name, started).info.run_id)


def made_run(
    client: "MlflowClient", experiment: str, tags: Mapping[str, str], name: str, started: int | None
) -> Any:
    """Make a run, and return it.

    Raises
    ------
    TrackingError
        If the answer names none.
    """
    with asked_once():
        run_name = storable(name)[:LONGEST_NAME]
        texts = {tag: text[:LONGEST_TAG] for tag, text in _storable(tags).items()}
        run = client.create_run(experiment, started, texts, run_name=run_name)
    if not run.info.run_id:
        raise TrackingError(
            "the MLflow store answered, but made no run: is something else at its address?"
        )
    return run


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
    if result.reused_from:
        tags["reused_from"] = unquoted(result.reused_from)
    for name in ("commit", "branch"):
        if name in result.environment:
            # The names under which MLflow's UI shows them.
            tags[f"mlflow.source.git.{name}"] = result.environment[name]
    return tags


def _case_figures(result: CaseResult, row: Row, end_ms: int) -> _Figures:
    metrics = {METRICS[name]: row[name] for name in METRICS if row[name] is not None}
    metrics |= further(result.metrics)
    return _Figures(
        [
            *((name, value, end_ms, 0) for name, value in metrics.items()),
            *anytime(result),
            *witness_metrics(result, end_ms),
        ],
        {**result.case.to_dict(), "repeat": result.repeat, **_best(result)},
    )


def _trial_tags(result: CaseResult, trial: Trial, parent: str) -> dict[str, str]:
    reading = trial.account.total
    tags = {
        "kind": "trial",
        "trial": str(trial.index),
        PARENT: parent,
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
    return tags


def _best(result: CaseResult) -> dict[str, Any]:
    """Return the hyperparameters of the incumbent, under names of their own."""
    found = result.incumbent.hyperparameters if result.incumbent else {}
    return {f"{BEST}{name}": value for name, value in found.items()}


def _log_batch(client: "MlflowClient", run_id: str, figures: _Figures) -> None:
    from mlflow.entities import Metric, Param  # noqa: PLC0415

    # The client splits what is more than a server takes at once.
    client.log_batch(
        run_id,
        [Metric(*metric) for metric in figures.metrics],
        [Param(name, text) for name, text in _storable(figures.params).items()],
    )


def _storable(texts: Mapping[str, Any]) -> dict[str, str]:
    """Return values as texts that every store takes: paths and errors may have any letters."""
    return {name: storable(str(value)) for name, value in texts.items()}


def _log_dataset(client: "MlflowClient", run_id: str, result: CaseResult) -> None:
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
