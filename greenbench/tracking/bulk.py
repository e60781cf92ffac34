"""Reading in bulk: runs out of MLflow as rows, in time that grows with their number alone."""

import gc
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from greenbench.errors import TrackingError
from greenbench.results.table import Row
from greenbench.tracking.rows import LeftOut, case_row, trial_row

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
        rows, left_out = [], LeftOut()
        for run in found:
            # A run that was cut off while it was logged is not to be read as a result.
            if run.data.tags.get("kind") == "case" and run.info.status in ENDED:
                try:
                    rows.append(case_row(run))
                except TrackingError as error:
                    left_out.add(error)
        left_out.close()
        return rows


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
    trials: dict[str, dict[int, Row]] = {row["run_id"]: {} for row in rows}
    parents = {row["run_id"]: row for row in rows}
    # Where it is not known how many there are, all runs are looked at.
    missing = Counter({r["run_id"]: math.inf if (n := r["trials"]) is None else n for r in rows})
    begun_ms = client.get_run(rows[0]["run_id"]).info.start_time
    left_out = LeftOut()
    seen: set[str] = set()
    with _unburdened():
        kind = _kind(client, experiments, "trial")
        # A repeat that went on after a clock was set back by much has earlier trials.
        for since_ms in dict.fromkeys((max(begun_ms - SET_BACK_MS, 0), 0)):
            for run in search(client, experiments, kind, since_ms=since_ms):
                parent = run.data.tags.get(PARENT)
                if parent not in parents or run.info.run_id in seen or not _is_trial(run):
                    continue
                seen.add(run.info.run_id)
                siblings = trials[parent]
                try:
                    trial = trial_row(run, parents[parent], len(siblings))
                except TrackingError as error:
                    left_out.add(error)
                    continue
                # A server that was told twice has it twice.
                if siblings.setdefault(trial["trial"], trial) is trial:
                    missing[parent] -= 1
                    # Later runs need not be read.
                    if not +missing:
                        break
            if not any(0 < number < math.inf for number in missing.values()):
                break
    left_out.close()
    return [trial for row in rows for _, trial in sorted(trials[row["run_id"]].items())]


def _is_trial(run: Any) -> bool:
    """Return whether a run is a trial's, and not the beginning of one that was made again."""
    return run.data.tags.get("kind") == "trial" and run.info.status in ENDED


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
