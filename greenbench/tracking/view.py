"""The view: which columns MLflow's table of runs shows when it is opened from greenbench.

MLflow keeps shared views in experiment tags. Their form is not documented, so a view may be
absent or ignored by another version of MLflow, but nothing depends on it.
"""

import base64
import json
import zlib

VIEW_KEY = "greenbench"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
COLUMNS = (
    "tags.`strategy`",
    "tags.`architecture`",
    "tags.`backend`",
    "tags.`energy_provenance`",
    "tags.`marks`",
    "metrics.`energy/total_wh`",
    "metrics.`emissions/g_co2e`",
    "metrics.`accuracy/test`",
)


def view_state() -> str:
    """Return the value of the tag: the cases of a suite with what people ask about."""
    state = {
        "searchFilter": "tags.kind = 'case'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(COLUMNS),
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "FIRST_10_RUNS",
        "groupsExpanded": {},
        "compareRunSections": [],
        "compareRunCharts": [],
    }
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()


def view_path(experiment_id: str) -> str:
    """Return the path of an experiment's table in the MLflow UI, with the view applied."""
    return (
        f"/#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW_KEY}"
        "&workflowType=machine_learning"
    )
