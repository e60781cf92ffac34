"""Attempts: what deliveries that were cut off, or told twice, left of a run; one of them is kept.

MLflow knows no request that is safe to repeat: if the answer to ``runs/create`` is lost, whoever
asks again makes another run. So each run says at its creation what it is of (a repeat's key, a
trial's parent), and is looked for by that. A repeat that was cut off is gone on with: of its trials
those are kept that have ended, and so have all their figures. What is not kept is deleted, so that
nothing that is still under way can bring it to an end: MLflow refuses to change a deleted run. And
a run is asked for once, so that a request that is late is not followed by another one that
succeeds.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from greenbench.errors import TrackingError
from greenbench.tracking.asking import unquoted
from greenbench.tracking.bulk import ENDED, PARENT, search

ABANDONED = "abandoned"
"""Kind of a run that is no result, where we may not delete."""


RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
LATE = re.compile(r"timed? ?out|no whole answer|too many (?:408|504)", re.IGNORECASE)
"""What errors say if a request may still be under way."""


@contextmanager
def asked_once() -> Iterator[None]:
    """Keep MLflow's client from asking again by itself for something to be made.

    If the first request is only late, what it makes would come when nobody looks for it.
    """
    before = os.environ.get(RETRIES)
    os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[RETRIES]
        else:
            os.environ[RETRIES] = before


def session_key(journal: Path) -> str:
    """Return what identifies a repeat in the store: its run's folder and journal."""
    return f"{unquoted(journal.parent.name)}/{unquoted(journal.stem)}"


def is_late(error: Exception) -> bool:
    """Return whether what failed may still come about: all else can be tried again at once."""
    return LATE.search(str(error)) is not None


def settle(
    client: Any, experiment: str, kind: str, key: str, start_ms: int = 0, *, may_go_on: bool = False
) -> Any | None:
    """Return the run that holds something, None if none does, and delete all other attempts.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    experiment : str
        Id of the suite's experiment.
    kind : str
        Of the run: ``case``, ``report`` or ``measurement``.
    key : str
        Its tag.
    start_ms : int
        When it started; 0 if that is not known. On two machines of one image, runs that started
        in the same second may have equal keys.
    may_go_on : bool
        Whether a run that has not ended is returned, too, if there is none that has.
    """
    wanted = f"tags.key = '{key}'"
    if start_ms:
        wanted += f" AND attributes.start_time = {start_ms}"
    attempts = [
        run for run in search(client, [experiment], wanted) if run.data.tags.get("kind") == kind
    ]
    kept = next(filter(has_ended, attempts), None)
    if kept is None and may_go_on:
        kept = next(iter(attempts), None)
    for run in attempts:
        if run is not kept:
            # The parent goes last: it is by what children are found if this is cut off. And they
            # are looked for again: what a server says once need not be so.
            for _ in range(2):
                put_away(client, children_of(client, experiment, run.info.run_id))
            put_away(client, [run.info.run_id])
    return kept


def has_ended(run: Any) -> bool:
    """Return whether a run has all that belongs to it: it ends last."""
    return run.info.status in ENDED


def ended_trials(client: Any, experiment: str, parent: str) -> dict[str, Any]:
    """Return the trials of a repeat that was cut off by their index, and delete what did not end.

    Parameters
    ----------
    client, experiment
        As of `settle`.
    parent : str
        The repeat's run.
    """
    found = children_of(client, experiment, parent)
    ended: dict[str, Any] = {}
    for run in found.values():
        if run.data.tags.get("kind") == "trial" and has_ended(run):
            ended.setdefault(run.data.tags["trial"], run)
    put_away(client, found.keys() - {run.info.run_id for run in ended.values()})
    return ended


def confirm(client: Any, experiment: str, parent: str, told: Mapping[str, Collection[str]]) -> None:
    """Make sure that a server has what it was told of a repeat, and nothing of it twice.

    Parameters
    ----------
    client, experiment
        As of `settle`.
    parent : str
        The repeat's run, which has not ended yet.
    told : mapping of str to collection of str
        For the run and each child the names of its metrics and parameters, and of its data set.

    Raises
    ------
    TrackingError
        If something is missing.
    """
    found = children_of(client, experiment, parent)
    put_away(client, found.keys() - told.keys())
    for run_id, names in told.items():
        run = client.get_run(parent) if run_id == parent else found.get(run_id)
        is_there = run is not None and (run_id == parent or has_ended(run))
        if not is_there or not holds(run, names):
            raise not_kept(run_id)


def holds(run: Any, names: Collection[str]) -> bool:
    """Return whether a run has metrics, parameters and a data set of these names."""
    inputs = run.inputs.dataset_inputs if run.inputs else ()
    sets = {named_data(each.dataset.name) for each in inputs}
    return {*run.data.metrics, *run.data.params, *sets}.issuperset(names)


def not_kept(run_id: str) -> TrackingError:
    """Return what is said of a server that confirmed what it does not have."""
    return TrackingError(
        f"the MLflow store said yes, and did not keep all of run {run_id}; `greenbench sync` "
        "tells it again"
    )


def named_data(name: str) -> str:
    """Return what a data set is called among the names that a run is told."""
    return f"data set {name}"


def children_of(client: Any, experiment: str, parent: str) -> dict[str, Any]:
    """Return the child runs of a run by their ids, those too that never ended."""
    found = search(client, [experiment], f"tags.`{PARENT}` = '{parent}'")
    return {str(run.info.run_id): run for run in found}


def put_away(client: Any, run_ids: Collection[str]) -> None:
    """Delete runs, or bring them to an end as no results where we may not delete."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    for run_id in run_ids:
        try:
            client.delete_run(run_id)
        except MlflowException as error:
            if error.error_code != "PERMISSION_DENIED":
                raise
            # Who may write on a server may not always delete there.
            client.set_tag(run_id, "kind", ABANDONED)
            client.set_terminated(run_id, "KILLED")
