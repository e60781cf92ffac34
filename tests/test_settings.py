import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

import greenbench
from greenbench.errors import ConfigurationError
from greenbench.machine.secrets import StoreUri
from greenbench.machine.threads import available_cores
from greenbench.settings import PREFIX, READ, TOLD, Settings, default_uri, unread

BAD_NUMBERS = ["three", "-1", "nan", "inf", "-inf", "1,5"]


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("GREENBENCH_RUNS_DIR", "/somewhere/runs", "runs_dir", Path("/somewhere/runs")),
        ("MLFLOW_TRACKING_URI", "http://host:5000", "tracking_uri", StoreUri("http://host:5000")),
        ("GREENBENCH_DATA_DIR", "/somewhere/data", "data_dir", Path("/somewhere/data")),
        ("GREENBENCH_HOST_LOCK", "/somewhere/lock", "host_lock", Path("/somewhere/lock")),
        ("GREENBENCH_THREADS", "977", "threads", 977),
        ("GREENBENCH_METER", "my_meter", "meter", "my_meter"),
        ("GREENBENCH_HEADLINE", "gpu", "headline", "gpu"),
        ("GREENBENCH_CARBON_INTENSITY", "12.5", "carbon_g_per_kwh", 12.5),
        ("GREENBENCH_CPU_TDP_W", "280", "cpu_tdp_w", 280.0),
        ("GREENBENCH_COUNTRY", "NLD", "country", "NLD"),
        ("GREENBENCH_TRIAL_TIMEOUT_S", "90.5", "trial_timeout_s", 90.5),
        ("GREENBENCH_MIN_WINDOW_S", "2.5", "min_window_s", 2.5),
        ("GREENBENCH_IDLE_S", "30", "idle_s", 30.0),
        ("GREENBENCH_TABULAR_DIR", "/somewhere/tabular", "tabular_dir", Path("/somewhere/tabular")),
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
        "GREENBENCH_HEADLINE",
        "GREENBENCH_CARBON_INTENSITY",
        "GREENBENCH_COUNTRY",
        "GREENBENCH_TRIAL_TIMEOUT_S",
        "GREENBENCH_MIN_WINDOW_S",
        "GREENBENCH_IDLE_S",
        "GREENBENCH_TABULAR_DIR",
        "GREENBENCH_CPU_TDP_W",
    ],
)
def test_empty_variable_is_as_good_as_none(variable: str) -> None:
    assert Settings.from_environment({variable: ""}) == Settings.from_environment({})


@pytest.mark.parametrize("text", ["tpu", "GPU", "cpu+gpu", " "])
def test_headline_of_no_known_scope_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment({"GREENBENCH_HEADLINE": text})
    assert str(refused.value) == (
        f"headline is {text!r}; expected one of measured, total, gpu, cpu (--headline or "
        "GREENBENCH_HEADLINE)"
    )


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "0"])
@pytest.mark.parametrize(
    "variable", ["GREENBENCH_THREADS", "GREENBENCH_TRIAL_TIMEOUT_S", "GREENBENCH_CPU_TDP_W"]
)
def test_bad_number_is_refused_by_variable_and_value(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable} is '{text}'; expected a .*above 0"):
        Settings.from_environment({variable: text})


@pytest.mark.parametrize("text", BAD_NUMBERS)
@pytest.mark.parametrize(
    "variable",
    ["GREENBENCH_CARBON_INTENSITY", "GREENBENCH_MIN_WINDOW_S", "GREENBENCH_IDLE_S"],
)
def test_bad_number_that_might_be_zero_is_refused_in_one_line(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Settings.from_environment({variable: text})
    assert str(error.value) == f"{variable} is {text!r}; expected a number of 0 or above"


@pytest.mark.parametrize("text", ["1e308", "1000001"])
def test_power_that_no_cpu_has_is_refused(text: str) -> None:
    variable = "GREENBENCH_CPU_TDP_W"
    with pytest.raises(ConfigurationError, match=rf"above 0, at most 1e\+06 \({variable}\)"):
        Settings.from_environment({variable: text})
    assert Settings.from_environment({variable: "1000000"}).cpu_tdp_w == 1e6


def test_no_idle_measurement_is_another_answer_than_none() -> None:
    variable = {"GREENBENCH_IDLE_S": "30"}
    assert Settings.from_environment(variable, idle_s=0.0).idle_s == 0.0
    assert Settings.from_environment(variable, idle_s=None).idle_s == 30.0


@pytest.mark.parametrize(
    ("variable", "setting"),
    [
        ("GREENBENCH_CARBON_INTENSITY", "carbon_g_per_kwh"),
        ("GREENBENCH_MIN_WINDOW_S", "min_window_s"),
        ("GREENBENCH_IDLE_S", "idle_s"),
    ],
)
def test_zero_is_a_figure_where_it_makes_sense(variable: str, setting: str) -> None:
    assert getattr(Settings.from_environment({variable: "0"}), setting) == 0.0


def test_a_typed_window_of_zero_wins_over_the_environment() -> None:
    settings = Settings.from_environment({"GREENBENCH_MIN_WINDOW_S": "10"}, min_window_s=0.0)
    assert settings.min_window_s == 0.0


def test_windows_are_left_as_they_are_and_idle_power_is_measured_by_default() -> None:
    settings = Settings.from_environment({})
    assert (settings.min_window_s, settings.idle_s) == (0.0, 3.0)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 60.0])
def test_bad_window_of_the_command_line_is_refused_in_one_line(seconds: float) -> None:
    with pytest.raises(ConfigurationError) as error:
        Settings.from_environment({}, min_window_s=seconds, trial_timeout_s=60.0)
    assert str(error.value) == (
        f"shortest window is {seconds} s; expected 0 or above, and less than the trial timeout "
        "of 60 s"
    )


def test_window_may_last_almost_as_long_as_a_trial() -> None:
    settings = Settings.from_environment({}, min_window_s=59.9, trial_timeout_s=60.0)
    assert settings.min_window_s == 59.9


def test_threads_are_the_cores_of_this_process_by_default() -> None:
    assert Settings.from_environment({}).threads == available_cores()


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
    assert str(settings.tracking_uri) == f"sqlite:///{tmp_path}/runs/mlflow.db"
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


@pytest.mark.parametrize("seconds", ["1e10", "3601"])
def test_idle_measurement_that_nobody_waits_for_is_refused(seconds: str) -> None:
    with pytest.raises(ConfigurationError, match="expected 0 to 3600 s"):
        Settings.from_environment({"GREENBENCH_IDLE_S": seconds})


def test_number_of_threads_that_would_exhaust_a_machine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="number of threads is 1000000; expected 1 to"):
        Settings.from_environment({"GREENBENCH_THREADS": "1000000"})


def test_users_with_temporary_folders_of_their_own_meet_at_one_host_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Settings.from_environment({}).host_lock
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = Settings.from_environment({"TMPDIR": str(tmp_path)}).host_lock
    assert found == expected
    assert found.is_absolute()


@pytest.mark.parametrize("tdp_w", [0.0, -5.0, float("nan"), float("inf")])
def test_tdp_that_is_none_is_refused_in_python_too(tdp_w: float) -> None:
    with pytest.raises(ConfigurationError, match=r"TDP of the CPU is .* W; expected"):
        Settings.from_environment({}, cpu_tdp_w=tdp_w)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("GREENBENCH_METRE", "did you mean GREENBENCH_METER?"),
        ("GREENBENCH_IDLE", "did you mean GREENBENCH_IDLE_S?"),
        ("GREENBENCH_OF_MY_OWN_TOOL", "no setting has such a name"),
    ],
)
def test_variable_that_nobody_reads_is_named_with_the_nearest_one(name: str, hint: str) -> None:
    said = f"the variable {name} is set, but nothing reads it; {hint}"
    assert unread({name: "1", "PATH": "/bin"}) == [said]
    assert unread({name: ""}) == []


def test_every_variable_that_greenbench_names_is_known() -> None:
    sources = Path(greenbench.__file__).parent.rglob("*.py")
    named = {
        name
        for source in sources
        for name in re.findall(rf"{PREFIX}(\w+)", source.read_text(encoding="utf-8"))
    }
    assert named <= {*READ, *TOLD}
    assert unread({PREFIX + name: "1" for name in named}) == []


def test_variable_that_tests_read_is_known() -> None:
    assert unread({"GREENBENCH_REFERENCE_DIR": "/somewhere/reference"}) == []
