"""Winners of runs that an older greenbench logged, which has them in the runs of trials alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from greenbench.cases import Scalar
from greenbench.errors import TrackingError
from greenbench.results import Trial, TrialStatus, find_incumbent
from greenbench.results.scores import score_of
from greenbench.results.table import Row
from greenbench.results.winner import winner_columns
from greenbench.selection import read_scalar
from greenbench.tracking.bulk import PARENT, search
from greenbench.tracking.rows import trial_row


def with_winners(client: Any, experiments: Mapping[str, str], rows: Sequence[Row]) -> list[Row]:
    """Return rows of repeats with their winners, also those that do not tell them.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    experiments : mapping of str to str
        Id of each suite's.
    rows : sequence of dict
        As `greenbench.tracking.Store.read_rows` gives them.
    """
    return [
        row
        if row.get("hyperparameters") is not None or row["suite"] not in experiments
        else {**row, **winner_columns(_incumbent(client, experiments[row["suite"]], row))}
        for row in rows
    ]


def _incumbent(client: Any, experiment: str, row: Row) -> Trial | None:
    found = search(client, [experiment], f"tags.`{PARENT}` = '{row['run_id']}'")
    trials: dict[int, Trial] = {}
    for run in found:
        try:
            told = trial_row(run, row, len(trials))
            status = TrialStatus(told["status"])
        except (TrackingError, ValueError):
            continue
        trials[told["trial"]] = Trial(
            told["trial"],
            _settings(run.data.params),
            status,
            told["val_score"],
            reevaluates=told["reevaluates"],
        )
    return find_incumbent([trials[index] for index in sorted(trials)], score_of(row))


def _settings(params: Mapping[str, str]) -> dict[str, Scalar]:
    return {name: read_scalar(text) for name, text in params.items()}
