"""By how much idle power changed during a session, told to each of its results afterwards."""

from collections.abc import Mapping, Sequence
from typing import Any

from greenbench.results.marks import DRIFTED, add_mark, is_drifted
from greenbench.results.table import METRICS
from greenbench.tracking.asking import unquoted
from greenbench.tracking.bulk import search


def log_drift(
    client: Any,
    experiments: Sequence[str],
    session: str,
    drift: float,
    *,
    since_s: float,
    first: Mapping[str, int],
) -> None:
    """Log it; see `greenbench.tracking.Store.log_idle_drift`.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    experiments : sequence of str
        Ids of those that may have results of the session.
    session, drift, since_s, first
        As of `Store.log_idle_drift`.
    """
    of_session = f"tags.session = '{unquoted(session)}'"
    for run in list(search(client, experiments, of_session, since_ms=int(since_s * 1000))):
        run_id, tags = run.info.run_id, run.data.tags
        is_older = first and int(tags["repeat"]) < first.get(tags["case_hash"], 0)
        if is_older or "reused_from" in tags:
            # It was measured in another session.
            continue
        client.log_metric(run_id, METRICS["idle_drift"], drift)
        if is_drifted(drift):
            client.set_tag(run_id, "marks", add_mark(tags.get("marks"), DRIFTED))
