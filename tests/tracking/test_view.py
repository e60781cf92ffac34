import base64
import json
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from greenbench.cases import Case
from greenbench.machine.secrets import StoreUri
from greenbench.results.table import METRICS, TAGS
from greenbench.tracking import Store
from greenbench.tracking import view as views
from greenbench.tracking.records import anytime
from tests.builders import make_result

if TYPE_CHECKING:
    from mlflow import MlflowClient

TABLE, CHARTS = "mlflow.sharedViewState.greenbench", "mlflow.sharedViewState.greenbench-charts"
SEEN = "3.17.2"
# Of MLflow 3.10 and 3.12; 3.17 takes more.
LONGEST_TAG = 5000


@pytest.fixture
def fresh(store: Store) -> Store:
    """The same database, opened by a process that has not used it yet."""
    return Store(store.uri)


@pytest.fixture(autouse=True)
def mlflow_version(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SEEN)


def install(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise views.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(views, "version", installed)


def unpacked(tag: str) -> dict[str, Any]:
    form, packed = views.view_tags()[tag].split(";")
    assert form == "deflate"
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert isinstance(state, dict)
    return state


def chart(kind: str) -> dict[str, Any]:
    (found,) = (card for card in unpacked(CHARTS)["compareRunCharts"] if card["type"] == kind)
    assert isinstance(found, dict)
    return found


def tags_of(client: "MlflowClient", suite: str) -> Mapping[str, str]:
    experiment = client.get_experiment_by_name(f"greenbench/{suite}")
    assert experiment
    return dict(experiment.tags)


def test_scatter_is_of_test_accuracy_over_energy() -> None:
    scatter = chart("SCATTER")

    assert scatter["xaxis"] == {"key": METRICS["energy_wh"], "type": "METRIC"}
    assert scatter["yaxis"] == {"key": METRICS["test_score"], "type": "METRIC"}


def test_line_is_of_the_metrics_that_a_search_logs() -> None:
    line = chart("LINE")

    logged = {name for name, *_ in anytime(make_result())}
    assert {line["metricKey"], line["selectedXAxisMetricKey"]} == logged
    assert line["selectedMetricKeys"] == [line["metricKey"]] == ["search/incumbent_validation"]
    assert line["xAxisKey"] == "metric"


def test_parallel_coordinates_are_parameters_and_metrics_of_a_case() -> None:
    parallel = chart("PARALLEL")

    assert {"strategy", "architecture"} <= set(parallel["selectedParams"]) <= set(Case().to_dict())
    assert {"energy/total_wh", "score/test"} <= set(parallel["selectedMetrics"])
    assert set(parallel["selectedMetrics"]) <= set(METRICS.values())


def test_every_chart_has_a_place_of_its_own_in_a_section() -> None:
    state = unpacked(CHARTS)

    cards, sections = state["compareRunCharts"], state["compareRunSections"]
    assert {card["metricSectionId"] for card in cards} == {section["uuid"] for section in sections}
    assert len({card["uuid"] for card in cards}) == len(cards) == 3
    assert all(section["display"] for section in sections)


def test_columns_of_the_table_exist() -> None:
    known = {f"tags.`{name}`" for name in TAGS} | {f"metrics.`{n}`" for n in METRICS.values()}

    assert set(unpacked(TABLE)["selectedColumns"]) <= known


@pytest.mark.parametrize("tag", [TABLE, CHARTS])
def test_views_are_of_cases_and_fit_into_a_tag(tag: str) -> None:
    assert unpacked(tag)["searchFilter"] == "tags.kind = 'case'"
    assert len(views.view_tags()[tag]) <= LONGEST_TAG


@pytest.mark.parametrize("version", ["3.10.0", "3.10.1", "3.12.0rc1", "3.17.2", "3.17.3.dev0"])
def test_versions_that_were_seen_have_views(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, version)

    assert set(views.view_tags()) == {TABLE, CHARTS}
    assert views.charts_path("7") == (
        "/#/experiments/7/runs?compareRunsMode=CHART&viewStateShareKey=greenbench-charts"
        "&workflowType=machine_learning"
    )
    assert "viewStateShareKey=greenbench&" in views.table_path("7")


@pytest.mark.parametrize("version", ["2.22.0", "3.9.0", "3.18.0", "4.10.0", "main", "", None])
def test_other_versions_have_the_plain_table_alone(
    version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, version)

    assert views.view_tags() == {}
    assert views.charts_path("7") is None
    assert views.table_path("7") == "/#/experiments/7/runs?workflowType=machine_learning"


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("http://ml.example:5000", "http://ml.example:5000"),
        ("https://ml.example/tracking/", "https://ml.example/tracking"),
        ("https://me:hunter2@ml.example/x", "https://ml.example/x"),
        ("https://me:hun@ter2@ml.example:80", "https://ml.example:80"),
        ("https://ml.example?token=hunter2", "https://ml.example"),
        ("sqlite:///mlruns/mlflow.db", "http://127.0.0.1:5000"),
        ("postgresql://me:hunter2@db/mlflow", "http://127.0.0.1:5000"),
    ],
)
def test_address_of_the_ui_has_no_credentials(uri: str, address: str) -> None:
    assert views.ui_address(StoreUri(uri)) == address


def test_new_experiment_has_the_views(store: Store, client: "MlflowClient") -> None:
    store.log_result(make_result(suite="new"), "s/1")

    tags = tags_of(client, "new")
    assert {tag: tags.get(tag) for tag in views.view_tags()} == views.view_tags()


def test_experiment_of_an_older_version_gets_the_views_with_its_next_result(
    fresh: Store, client: "MlflowClient"
) -> None:
    client.create_experiment("greenbench/older")

    fresh.log_result(make_result(suite="older"), "s/1")

    assert views.view_tags().items() <= tags_of(client, "older").items()


def test_view_that_somebody_changed_is_kept(fresh: Store, client: "MlflowClient") -> None:
    client.create_experiment("greenbench/changed", tags={CHARTS: "mine"})

    fresh.log_result(make_result(suite="changed"), "s/1")
    fresh.seed_views()

    tags = tags_of(client, "changed")
    assert tags[CHARTS] == "mine"
    assert tags[TABLE] == views.view_tags()[TABLE]


def test_all_experiments_get_their_views_before_they_are_looked_at(
    fresh: Store, client: "MlflowClient"
) -> None:
    client.create_experiment("greenbench/looked-at")
    client.create_experiment("somebody-else")

    fresh.seed_views()

    other = client.get_experiment_by_name("somebody-else")
    assert views.view_tags().items() <= tags_of(client, "looked-at").items()
    assert other
    assert not set(views.view_tags()) & set(other.tags)


def test_mlflow_that_was_not_seen_gets_results_and_no_views(
    fresh: Store, client: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "3.99.0")

    fresh.log_result(make_result(suite="unseen"), "s/1")

    assert not {TABLE, CHARTS} & set(tags_of(client, "unseen"))
    assert len(fresh.read_rows("unseen")) == 1
    assert fresh.charts_url("unseen") is None


def test_view_that_cannot_be_kept_breaks_no_run(
    fresh: Store, client: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    # MLflow refuses this value as too long.
    monkeypatch.setattr(views, "view_tags", lambda: {CHARTS: "x" * 1_000_000})

    fresh.log_result(make_result(suite="refused"), "s/1")

    assert CHARTS not in tags_of(client, "refused")
    assert len(fresh.read_rows("refused")) == 1


def test_charts_of_a_database_are_where_the_ui_will_be(
    fresh: Store, client: "MlflowClient"
) -> None:
    number = client.create_experiment("greenbench/charted")

    assert fresh.charts_url("charted") == f"http://127.0.0.1:5000{views.charts_path(number)}"


def test_suite_without_results_has_no_charts(fresh: Store) -> None:
    assert fresh.charts_url("nothing-here") is None


def test_store_that_fails_has_no_charts_and_raises_nothing(
    fresh: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr("mlflow.MlflowClient.search_experiments", fail)

    assert fresh.charts_url("new") is None
