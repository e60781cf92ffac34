"""Reading in bulk: runs out of MLflow as rows, in time that grows with their number alone."""

import gc
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from greenbench.results.table import (
    ENDED_WELL,
    METRICS,
    OF_CASE,
    TAGS,
    Row,
    optimism_of,
    proposal_wh,
)

ENDED = ("FINISHED", "FAILED")
PARENT = "mlflow.parentRunId"
TAG_OF_KIND = {"case": "key", "trial": PARENT}
PAGE = 1000
# A clock may have been set back between the start of a repeat and that of its trials.
SET_BACK_MS = 3_600_000


def read_cases(
    client: Any, experiments: Sequence[str], tag: tuple[str, str] | None = None
) -> list[Row]:
    """Return all finished repeats, oldest first, with ``session`` and ``run_id``.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    experiments : sequence of str
        Ids.
    tag : (str, str), optional
        Only runs that have this tag, name and text.
    """
    with _unburdened():
        wanted = _kind(client, experiments, "case")
        if tag:
            name, text = tag
            quote = '"' if "'" in text else "'"
            wanted += f" AND tags.`{name}` = {quote}{text}{quote}"
        found = search(client, experiments, wanted)
        # A run that was cut off while it was logged is not to be read as a result.
        return [
            _to_row(run)
            for run in found
            if run.data.tags.get("kind") == "case" and run.info.status in ENDED
        ]


def read_trials(client: Any, experiments: Sequence[str], rows: Sequence[Row]) -> list[Row]:
    """Return the trials of some repeats, as `greenbench.tracking.Store.read_trials` does.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    experiments : sequence of str
        Ids of those that have the repeats.
    rows : sequence of dict
        The repeats, as `read_cases` gives them.
    """
    if not rows:
        return []
    trials: dict[str, list[Row]] = {row["run_id"]: [] for row in rows}
    parents = {row["run_id"]: row for row in rows}
    missing = Counter({row["run_id"]: int(row["trials"] or 0) for row in rows})
    since_ms = max(client.get_run(rows[0]["run_id"]).info.start_time - SET_BACK_MS, 0)
    with _unburdened():
        kind = _kind(client, experiments, "trial")
        for run in search(client, experiments, kind, since_ms=since_ms):
            parent = run.data.tags.get(PARENT)
            if parent in parents and run.data.tags.get("kind") == "trial":
                siblings = trials[parent]
                siblings.append(_to_trial_row(run, parents[parent], len(siblings)))
                missing[parent] -= 1
                # Later runs need not be read.
                if not +missing:
                    break
    return [trial for row in rows for trial in sorted(trials[row["run_id"]], key=_index)]


def search(
    client: Any, experiments: Sequence[str], filter_string: str, *, since_ms: int = 0
) -> Iterator[Any]:
    """Yield runs in the order in which they started.

    MLflow numbers its pages and counts through all earlier ones for each. So each page is asked
    for by time here: from where the last one ended, to where the next will end if runs are as
    dense there, because without an end all later runs are looked at.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    experiments : sequence of str
        Ids.
    filter_string : str
        As MLflow takes it.
    since_ms : int
        The earliest start, in ms since 1970-01-01 UTC.
    """
    until_ms = token = None
    seen: set[str] = set()
    while experiments:
        bounds = f"{filter_string} AND attributes.start_time >= {since_ms}"
        if until_ms is not None:
            bounds += f" AND attributes.start_time < {until_ms}"
        page = client.search_runs(
            list(experiments),
            bounds,
            max_results=PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        yield from (run for run in page if run.info.run_id not in seen)
        token = page.token
        if not token:
            if until_ms is None:
                return
            since_ms, until_ms, seen = until_ms, None, set()
        elif (last_ms := page[-1].info.start_time) > since_ms:
            # Others may have started in the same millisecond as the last of this page.
            seen = {run.info.run_id for run in page if run.info.start_time == last_ms}
            since_ms, until_ms, token = last_ms, last_ms + 2 * (last_ms - since_ms), None


def _kind(client: Any, experiments: Sequence[str], kind: str) -> str:
    """Return a filter that finds all runs of a kind, and maybe others."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    # Which tags a run has is looked up for the runs of a page. What is in them, MLflow looks
    # up for all runs of the store at each page, but versions before 3.12 can't do otherwise.
    quick = f"tags.`{TAG_OF_KIND[kind]}` IS NOT NULL"
    try:
        client.search_runs(list(experiments), f"{quick} AND attributes.start_time < 0")
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        return f"tags.kind = '{kind}'"
    return quick


@contextmanager
def _unburdened() -> Iterator[None]:
    """Spare what MLflow's objects cost once they are made, which is most of the time.

    There are millions of them, none in cycles, and the garbage collector would look at all again
    and again. And at the end of a search SQLAlchemy marks each as outdated, just before MLflow
    forgets them; so they are forgotten first.
    """
    from sqlalchemy import event  # noqa: PLC0415
    from sqlalchemy.orm import Session  # noqa: PLC0415

    def forget(session: Session) -> None:
        if not (session.new or session.dirty or session.deleted):
            session.expunge_all()

    was_enabled = gc.isenabled()
    gc.disable()
    event.listen(Session, "before_commit", forget)
    try:
        yield
    finally:
        event.remove(Session, "before_commit", forget)
        if was_enabled:
            gc.enable()


def _to_row(run: Any) -> Row:
    tags, metrics = run.data.tags, run.data.metrics
    return {
        **{name: _shared(tags.get(name)) for name in TAGS},
        **{name: metrics.get(metric) for name, metric in METRICS.items()},
        # Which older runs have under this name alone.
        "commit": _shared(tags.get("commit") or tags.get("mlflow.source.git.commit")),
        "repeat": int(tags.get("repeat", 0)),
        "session": _shared(tags.get("session")),
        "run_id": run.info.run_id,
    }


def _to_trial_row(run: Any, parent: Mapping[str, Any], position: int) -> Row:
    tags, metrics = run.data.tags, run.data.metrics
    status = _shared(tags.get("status"))
    energy_wh, again = metrics.get("energy/total_wh"), tags.get("reevaluates")
    reevaluates = None if again is None else int(again)
    return {
        **{name: parent[name] for name in (*OF_CASE, "repeat")},
        # Trials that were logged before they had this tag are in order of time.
        "trial": int(tags.get("trial", position)),
        "status": status,
        "energy_wh": energy_wh,
        "search_wh": proposal_wh(energy_wh, metrics.get("energy/search_wh"), reevaluates),
        "duration_s": metrics.get("time/total_s"),
        "val_accuracy": metrics.get("accuracy/validation") if status in ENDED_WELL else None,
        "segments": tags.get("segments"),
        "reevaluates": reevaluates,
        # Trained alone, unless the tag says otherwise.
        "lanes": int(tags.get("lanes", 1)),
        "optimism": optimism_of(parent["val_accuracy"], parent["test_accuracy"]),
        "test_accuracy": parent["test_accuracy"],
        "session": parent["session"],
        "run_id": parent["run_id"],
    }


def _index(trial: Row) -> int:
    return int(trial["trial"])


def _shared(text: str | None) -> str | None:
    """Return one and the same text for equal ones: there are few, in very many rows."""
    return None if text is None else sys.intern(text)
