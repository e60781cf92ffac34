"""The views: what MLflow's UI shows of a suite when it is opened from greenbench.

MLflow keeps shared views in experiment tags. Their form is not documented, so they are offered for
the versions of MLflow that they were seen to work with, and nothing depends on them.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from greenbench.machine.secrets import StoreUri
from greenbench.results.table import METRICS

if TYPE_CHECKING:
    from mlflow import MlflowClient

FORM_SEEN = ((3, 10), (3, 17))
"""First and last version of MLflow whose UI was seen to show the views."""

LOOPBACK = "http://127.0.0.1:5000"
TABLE_KEY = "greenbench"
CHARTS_KEY = "greenbench-charts"
TAG_PREFIX = "mlflow.sharedViewState."

ENERGY, SCORE = METRICS["energy_wh"], METRICS["test_score"]
COLUMNS = (
    "tags.`strategy`",
    "tags.`architecture`",
    "tags.`backend`",
    "tags.`energy_provenance`",
    "tags.`energy_scope`",
    "tags.`marks`",
    f"metrics.`{ENERGY}`",
    f"metrics.`{METRICS['emissions_g']}`",
    f"metrics.`{SCORE}`",
)
ANYTIME, SPENT = "search/incumbent_validation", "search/cumulative_wh"
SECTIONS: tuple[Mapping[str, Any], ...] = (
    {"uuid": "greenbench-energy", "name": "Score against energy", "columns": 2},
    {"uuid": "greenbench-cases", "name": "Cases side by side", "columns": 1},
)
CHARTS: tuple[Mapping[str, Any], ...] = (
    {
        "type": "SCATTER",
        "metricSectionId": "greenbench-energy",
        "xaxis": {"key": ENERGY, "type": "METRIC"},
        "yaxis": {"key": SCORE, "type": "METRIC"},
    },
    {
        "type": "LINE",
        "metricSectionId": "greenbench-energy",
        "metricKey": ANYTIME,
        "selectedMetricKeys": [ANYTIME],
        "xAxisKey": "metric",
        "selectedXAxisMetricKey": SPENT,
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "lineSmoothness": 0,
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": False,
    },
    {
        "type": "PARALLEL",
        "metricSectionId": "greenbench-cases",
        "selectedParams": ["strategy", "architecture", "size"],
        "selectedMetrics": [ENERGY, SCORE],
        "showAllRuns": True,
    },
)
"""The score against energy, best so far against energy spent, and all cases with both, in the form
of ``RunsChartsCardConfig`` in MLflow's front end. Its scatter plots have no logarithmic axis."""


def view_tags() -> dict[str, str]:
    """Return the experiment tags that hold the views; none for an MLflow that may not read them."""
    if not is_form_known():
        return {}
    table = _state()
    charts = table | {
        "runsHiddenMode": "SHOW_ALL",
        # Otherwise the sections that MLflow adds, one a prefix of metrics, are sorted among ours.
        "isAccordionReordered": True,
        "compareRunSections": [{"display": True, **section} for section in SECTIONS],
        "compareRunCharts": [_card(chart) for chart in CHARTS],
    }
    return {
        f"{TAG_PREFIX}{TABLE_KEY}": _packed(table),
        f"{TAG_PREFIX}{CHARTS_KEY}": _packed(charts),
    }


def seed(client: "MlflowClient", experiment_id: str, tags: Mapping[str, str]) -> None:
    """Give an experiment those of the views that its `tags` lack, if that can be done."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    for tag, view in view_tags().items():
        # What people made of a view is theirs, and no run may fail for want of one.
        if tag not in tags:
            with suppress(MlflowException):
                client.set_experiment_tag(experiment_id, tag, view)


def table_path(experiment_id: str) -> str:
    """Return the path of an experiment's table in the MLflow UI, with the view if there is one."""
    view = f"viewStateShareKey={TABLE_KEY}&" if is_form_known() else ""
    return f"/#/experiments/{experiment_id}/runs?{view}workflowType=machine_learning"


def charts_path(experiment_id: str) -> str | None:
    """Return the path of an experiment's charts in the MLflow UI, None if it has none of ours."""
    if not is_form_known():
        return None
    return (
        f"/#/experiments/{experiment_id}/runs?compareRunsMode=CHART"
        f"&viewStateShareKey={CHARTS_KEY}&workflowType=machine_learning"
    )


def ui_address(uri: StoreUri) -> str:
    """Return where the UI of a store is: a server's address, or that which ``greenbench ui`` takes.

    User information and query are left out: an address is printed, and kept in shells' histories.
    """
    return uri.address if uri.is_server else LOOPBACK


def is_form_known() -> bool:
    """Return whether the installed MLflow is one whose UI was seen to show the views."""
    try:
        release = tuple(int(part) for part in version("mlflow").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return False
    first, last = FORM_SEEN
    return first <= release <= last


def _state() -> dict[str, Any]:
    return {
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


def _card(chart: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **chart,
        "uuid": f"greenbench-{chart['type'].lower()}",
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 100,
    }


def _packed(state: Mapping[str, Any]) -> str:
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
