from pathlib import Path
from typing import Any

import pytest

from greenbench.errors import ConfigurationError
from greenbench.settings import Settings, default_uri

BAD_NUMBERS = ["three", "-1", "nan", "inf", "-inf", "1,5"]


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("GREENBENCH_RUNS_DIR", "/somewhere/runs", "runs_dir", Path("/somewhere/runs")),
        ("MLFLOW_TRACKING_URI", "http://host:5000", "tracking_uri", "http://host:5000"),
        ("GREENBENCH_DATA_DIR", "/somewhere/data", "data_dir", Path("/somewhere/data")),
        ("GREENBENCH_HOST_LOCK", "/somewhere/lock", "host_lock", Path("/somewhere/lock")),
        ("GREENBENCH_THREADS", "4", "threads", 4),
        ("GREENBENCH_METER", "my_meter", "meter", "my_meter"),
        ("GREENBENCH_CARBON_INTENSITY", "12.5", "carbon_g_per_kwh", 12.5),
        ("GREENBENCH_COUNTRY", "NLD", "country", "NLD"),
        ("GREENBENCH_TRIAL_TIMEOUT_S", "90.5", "trial_timeout_s", 90.5),
    ],
)
def test_variable_sets_the_setting(variable: str, text: str, setting: str, value: Any) -> None:
    settings = Settings.from_environment({variable: text})
    assert getattr(settings, setting) == value
    assert getattr(Settings.from_environment({}), setting) != value


@pytest.mark.parametrize(
    "variable",
    [
        "GREENBENCH_RUNS_DIR",
        "MLFLOW_TRACKING_URI",
        "GREENBENCH_DATA_DIR",
        "GREENBENCH_HOST_LOCK",
        "GREENBENCH_THREADS",
        "GREENBENCH_METER",
        "GREENBENCH_CARBON_INTENSITY",
        "GREENBENCH_COUNTRY",
        "GREENBENCH_TRIAL_TIMEOUT_S",
    ],
)
def test_empty_variable_is_as_good_as_none(variable: str) -> None:
    assert Settings.from_environment({variable: ""}) == Settings.from_environment({})


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "0"])
@pytest.mark.parametrize("variable", ["GREENBENCH_THREADS", "GREENBENCH_TRIAL_TIMEOUT_S"])
def test_bad_number_is_refused_by_variable_and_value(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable} is '{text}'; expected a .*above 0"):
        Settings.from_environment({variable: text})


@pytest.mark.parametrize("text", BAD_NUMBERS)
def test_bad_carbon_intensity_is_refused_by_variable_and_value(text: str) -> None:
    expected = f"GREENBENCH_CARBON_INTENSITY is '{text}'; expected a number of 0 or above"
    with pytest.raises(ConfigurationError, match=expected):
        Settings.from_environment({"GREENBENCH_CARBON_INTENSITY": text})


def test_carbon_intensity_of_zero_is_a_figure() -> None:
    settings = Settings.from_environment({"GREENBENCH_CARBON_INTENSITY": "0"})
    assert settings.carbon_g_per_kwh == 0.0


def test_half_a_thread_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected a whole number"):
        Settings.from_environment({"GREENBENCH_THREADS": "1.5"})


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_timeout_of_the_command_line_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match=f"trial timeout is {seconds}; .* above 0"):
        Settings.from_environment({}, trial_timeout_s=seconds)


def test_command_line_wins_over_the_environment() -> None:
    environment = {"GREENBENCH_THREADS": "4", "GREENBENCH_COUNTRY": "NLD"}
    settings = Settings.from_environment(environment, threads=2, country=None)
    assert (settings.threads, settings.country) == (2, "NLD")


def test_default_store_is_a_database_in_the_runs_folder(tmp_path: Path) -> None:
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": str(tmp_path / "runs")})
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert settings.tracking_uri == default_uri(settings.runs_dir)
    assert settings.journal_dir == tmp_path / "runs" / "journal"


def test_relative_runs_folder_is_where_we_stand_and_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": "runs"})
    assert settings.runs_dir == tmp_path / "runs"
    assert Settings.from_environment({}).runs_dir == tmp_path / "mlruns"


def test_data_goes_to_the_cache_of_the_user() -> None:
    settings = Settings.from_environment({"XDG_CACHE_HOME": "/somewhere/cache"})
    assert settings.data_dir == Path("/somewhere/cache/greenbench")


def test_a_typed_country_wins_over_an_intensity_that_is_set() -> None:
    environment = {"GREENBENCH_CARBON_INTENSITY": "3"}
    settings = Settings.from_environment(environment, country="FRA")
    assert (settings.country, settings.carbon_g_per_kwh) == ("FRA", None)
