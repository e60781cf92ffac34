"""The codecarbon meter: honest about what it reads, whatever is configured around it."""

import inspect
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from codecarbon import OfflineEmissionsTracker
from codecarbon.emissions_tracker import BaseEmissionsTracker
from codecarbon.external.hardware import CPU

from greenbench.energy import codecarbon
from greenbench.energy.codecarbon import CodecarbonMeter
from greenbench.readings import Provenance
from greenbench.testing import MeterConformance

RAPL = Path("/sys/class/powercap/intel-rapl")

SURPRISES = {
    "pue": "3",
    "country_iso_code": "USA",
    "region": "california",
    "force_cpu_power": "500",
    "force_ram_power": "700",
    "force_carbon_intensity_g_co2e_kwh": "1000",
    "tracking_mode": "process",
    "output_methods": "csv",
    "log_level": "debug",
    "gpu_ids": "7",
}


class TestCodecarbonMeter(MeterConformance):
    def make_meter(self):
        return CodecarbonMeter()


@pytest.fixture
def meter():
    meter = CodecarbonMeter()
    yield meter
    meter.close()


def read(meter, seconds=0.05):
    meter.begin_window()
    time.sleep(seconds)
    return meter.end_window()


def ram_power_w(meter):
    # The RAM model is a constant for a machine, so that whatever scales energy shows here.
    reading = read(meter, 0.2)
    return reading.components["ram"].energy_j / reading.duration_s


def component_of(hardware):
    _, provenance, source = codecarbon._describe(hardware)
    return provenance, source


@pytest.mark.skipif(
    RAPL.exists() or shutil.which("nvidia-smi") is not None, reason="the host has energy counters"
)
def test_nothing_is_called_measured_on_a_host_without_counters(meter):
    reading = read(meter)
    assert not any(part.provenance.is_measured for part in reading.components.values())
    assert reading.provenance.label == "estimated"


def test_modelled_ram_is_reported_and_never_in_the_headline(meter):
    reading = read(meter)
    others = [part.energy_j for name, part in reading.components.items() if name != "ram"]
    assert reading.components["ram"].energy_j > 0
    assert reading.energy_j == pytest.approx(sum(others))


def test_each_component_says_by_which_release_it_was_read(meter):
    assert all(part.source.startswith("codecarbon 3.") for part in meter.describe().values())


@pytest.mark.parametrize("place", ["environment", "home", "working_directory"])
def test_configuration_around_it_changes_nothing(monkeypatch, tmp_path, place):
    expected = CodecarbonMeter()
    if place == "environment":
        for name, value in SURPRISES.items():
            monkeypatch.setenv(f"CODECARBON_{name.upper()}", value)
    else:
        lines = [f"{name} = {value}" for name, value in SURPRISES.items()]
        (tmp_path / ".codecarbon.config").write_text("\n".join(["[codecarbon]", *lines]))
        monkeypatch.setenv("HOME", str(tmp_path))
        if place == "working_directory":
            monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
            monkeypatch.chdir(tmp_path)
    meter = CodecarbonMeter()
    assert meter._tracker._external_conf["pue"] == "3", "codecarbon did not see the surprises"
    assert meter.describe() == expected.describe()
    assert ram_power_w(meter) == pytest.approx(ram_power_w(expected), rel=0.2)
    assert {path.name for path in tmp_path.iterdir()} <= {".codecarbon.config"}


def test_every_argument_of_the_tracker_is_given():
    accepted = set()
    for tracker in (OfflineEmissionsTracker, BaseEmissionsTracker):
        accepted |= set(inspect.signature(tracker.__init__).parameters)
    deprecated = {name for name in accepted if name.startswith("save_to_")}
    accepted -= {"self", "args", "kwargs", "co2_signal_api_token", *deprecated}
    assert set(codecarbon._explicit_arguments()) == accepted


@pytest.mark.parametrize(
    ("mode", "provenance"),
    [
        ("cpu_load", Provenance.MODEL),
        ("constant", Provenance.CONSTANT),
        ("a_mode_of_tomorrow", Provenance.MODEL),
    ],
)
def test_an_unmeasured_cpu_mode_is_never_called_measured(tmp_path, mode, provenance):
    cpu = CPU(str(tmp_path), mode, "some CPU", 65)
    assert component_of(cpu)[0] is provenance
    assert component_of(cpu)[1].endswith(f"CPU {mode}, TDP 65 W")


@pytest.mark.parametrize(
    ("has_counters", "provenance"),
    [([True, True], Provenance.COUNTER), ([True, False], Provenance.SAMPLED)],
    ids=["all", "one_lacks_it"],
)
def test_gpus_are_counted_only_where_all_have_a_counter(has_counters, provenance):
    class GPU:
        devices = SimpleNamespace(
            devices=[SimpleNamespace(_has_counter=has_counter) for has_counter in has_counters]
        )

    assert component_of(GPU())[0] is provenance


def test_hardware_of_tomorrow_has_no_provenance_and_no_energy(meter):
    class Antimatter:
        pass

    name, provenance, source = codecarbon._describe(Antimatter())
    meter._components[name] = codecarbon.Component(None, provenance, source)
    assert provenance is Provenance.NONE
    assert read(meter).components["antimatter"].energy_j is None


@pytest.fixture
def rapl(tmp_path):
    """A package's energy counter, as Linux shows it."""
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    for name, text in {
        "name": "package-0",
        "energy_uj": "0",
        "max_energy_range_uj": "10" * 6,
    }.items():
        (package / name).write_text(text)
    return tmp_path, package / "energy_uj"


def test_a_hardware_counter_is_read_as_it_stands(meter, rapl):
    folder, counter = rapl
    cpu = CPU(str(folder), "intel_rapl", "some CPU", 65, rapl_dir=str(folder))
    name, provenance, source = codecarbon._describe(cpu)
    meter._tracker._hardware = [cpu]
    meter._components = {name: codecarbon.Component(None, provenance, source)}
    meter.begin_window()
    counter.write_text("5000000")
    reading = meter.end_window()
    assert reading.energy_j == pytest.approx(5.0)
    assert reading.provenance is Provenance.COUNTER


def test_closing_stops_a_timer_that_started_itself_anew(meter):
    scheduler = meter._tracker._scheduler_monitor_power
    scheduler.start(from_run=True)
    meter.close()
    scheduler._timer.join(timeout=2)
    assert not scheduler._timer.is_alive()


@pytest.mark.integration
def test_it_prints_nothing(tmp_path):
    program = "from greenbench.energy.codecarbon import CodecarbonMeter as M; M().close()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
