"""The codecarbon meter: honest about what it reads, whatever is configured around it."""

import ast
import inspect
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
from codecarbon import OfflineEmissionsTracker, emissions_tracker
from codecarbon.core import config as codecarbon_config
from codecarbon.core import gpu, gpu_nvidia, hardware_cache, resource_tracker, util
from codecarbon.core.cpu import TDP
from codecarbon.emissions_tracker import BaseEmissionsTracker
from codecarbon.external import hardware, ram
from codecarbon.external.hardware import CPU, GPU
from codecarbon.external.ram import RAM
from codecarbon.input import DataSource

from greenbench.energy import codecarbon
from greenbench.energy.codecarbon import CodecarbonMeter
from greenbench.errors import EnergyError
from greenbench.results.readings import Provenance
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


def powers_w(meter):
    # The RAM model is a constant for a machine, and the CPU's has one, too.
    parts = {type(part).__name__: part for part in meter._tracker._hardware}
    return parts["RAM"].total_power().W, parts["CPU"]._tdp


def component_of(part):
    _, provenance, source = codecarbon._describe(part)
    return provenance, source


def read_only(meter, part):
    """Let the meter's tracker read this hardware and no other."""
    name, provenance, source = codecarbon._describe(part)
    meter._tracker._hardware = [part]
    meter._components = {name: codecarbon.Component(None, provenance, source)}
    return meter


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


@pytest.mark.parametrize("place", ["home", "working_directory"])
@pytest.mark.parametrize("text", ["[codecarbon\nnot a file", "\x00", "[codecarbon]\npue = %("])
def test_a_malformed_configuration_file_is_not_read(monkeypatch, tmp_path, place, text):
    (tmp_path / ".codecarbon.config").write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    if place == "working_directory":
        monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
        monkeypatch.chdir(tmp_path)
    CodecarbonMeter().close()
    # Whoever uses codecarbon beside us has its configuration all the same.
    assert emissions_tracker.get_hierarchical_config is codecarbon_config.get_hierarchical_config


def test_slurm_that_is_out_of_reach_is_not_asked(monkeypatch):
    monkeypatch.setattr(util, "SLURM_JOB_ID", "12")
    monkeypatch.setattr(ram, "SLURM_JOB_ID", "12")
    monkeypatch.setenv("PATH", "/nonexistent")
    CodecarbonMeter().close()


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
    assert codecarbon_config.get_hierarchical_config()["pue"] == "3", "there are no surprises"
    meter = CodecarbonMeter()
    assert meter._tracker._external_conf == {}
    assert meter.describe() == expected.describe()
    assert powers_w(meter) == powers_w(expected)
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
    assert f": CPU {mode}, no readable counter, TDP 65 W" in component_of(cpu)[1]


@pytest.mark.parametrize("row", [0, 100, -1])
def test_a_tdp_from_its_table_is_no_guess(tmp_path, row):
    known = DataSource().get_cpu_power_data().iloc[row]
    tdp_w = float(known["TDP"])
    cpu = CPU(str(tmp_path), "cpu_load", known["Name"], tdp_w)
    assert component_of(cpu)[1].endswith(f"TDP {tdp_w:g} W")


@pytest.mark.parametrize("model", ["Abacus 4000", "Unknown", "", None])
def test_a_guessed_tdp_is_called_one(tmp_path, model):
    cpu = CPU.from_utils(str(tmp_path), "cpu_load", model, 120)
    cpu._model = model  # It looks for a name of its own where it gets none.
    assert component_of(cpu)[1].endswith("TDP 120 W guessed (unknown CPU)")


def test_a_told_tdp_is_used_by_its_model_and_named():
    meter = CodecarbonMeter(cpu_tdp_w=123.0)
    cpu = meter.describe()["cpu"]
    if cpu.provenance.is_measured:
        pytest.skip("the host has a counter of its CPU")
    assert powers_w(meter)[1] == 123.0
    assert cpu.source.endswith("TDP 123 W by GREENBENCH_CPU_TDP_W")


def test_a_told_tdp_leaves_a_counter_in_its_place(monkeypatch, rapl):
    folder, _ = rapl
    monkeypatch.setattr(
        resource_tracker.CPU, "from_utils", classmethod(lambda *a, **k: rapl_cpu(folder))
    )
    monkeypatch.setattr(hardware_cache, "_plans", {})
    monkeypatch.setattr(hardware_cache, "get_or_run_setup", lambda tracker, setup: setup())
    meter = CodecarbonMeter(cpu_tdp_w=123.0)
    assert meter.describe()["cpu"].provenance is Provenance.COUNTER
    assert meter._tracker._force_cpu_power is None


@pytest.mark.parametrize(
    ("has_counters", "provenance"),
    [([True, True], Provenance.COUNTER), ([True, False], Provenance.SAMPLED)],
    ids=["all", "one_lacks_it"],
)
def test_gpus_are_counted_only_where_all_have_a_counter(nvml, has_counters, provenance):
    nvml.gpus = len(has_counters)
    found = GPU.from_utils()
    for device, has_counter in zip(found.devices.devices, has_counters, strict=True):
        device._has_counter = has_counter
    assert component_of(found)[0] is provenance


def test_a_gpu_counter_ticks_and_has_a_limit(nvml):
    nvml.gpus = 2
    tick_s, limit_w = codecarbon._bounds(GPU.from_utils())
    assert tick_s == 0.1
    assert limit_w == 2 * nvml.nvmlDeviceGetEnforcedPowerLimit(None) / 1000


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


def rapl_cpu(folder):
    return CPU(str(folder), "intel_rapl", "some CPU", 65, rapl_dir=str(folder))


def test_a_hardware_counter_is_read_as_it_stands(meter, rapl):
    folder, counter = rapl
    read_only(meter, rapl_cpu(folder))
    meter.begin_window()
    counter.write_text("5000000")
    reading = meter.end_window()
    assert reading.energy_j == pytest.approx(5.0)
    assert reading.provenance is Provenance.COUNTER


def test_a_counter_that_wraps_around_loses_nothing(meter, rapl):
    folder, counter = rapl
    highest = int(counter.with_name("max_energy_range_uj").read_text())
    counter.write_text(str(highest - 1_000_000))
    read_only(meter, rapl_cpu(folder))
    meter.begin_window()
    counter.write_text("4000000")
    assert meter.end_window().energy_j == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("limits_w", "expected_w"),
    [({}, 1000.0), ({"constraint_0_power_limit_uw": 65, "constraint_1_max_power_uw": 90}, 180.0)],
    ids=["unknown", "known"],
)
def test_a_counter_says_how_often_it_ticks_and_what_its_package_may_use(
    meter, rapl, limits_w, expected_w
):
    folder, counter = rapl
    for name, limit_w in limits_w.items():
        counter.with_name(name).write_text(f"{limit_w}000000\n")
    assert codecarbon._bounds(rapl_cpu(folder)) == (0.001, expected_w)


BREAK = {
    "is_empty": lambda counter: counter.write_text(""),
    "vanishes": lambda counter: counter.unlink(),
    "becomes_unreadable": lambda counter: (counter.unlink(), counter.mkdir()),
    "is_garbage": lambda counter: counter.write_text("n/a"),
}


@pytest.mark.parametrize("moment", ["before", "inside"])
@pytest.mark.parametrize("what", BREAK)
def test_a_counter_that_breaks_costs_its_windows_and_no_others(meter, rapl, what, moment):
    folder, counter = rapl
    counter.write_text("1000000")
    read_only(meter, rapl_cpu(folder))
    if moment == "before":
        BREAK[what](counter)
    meter.begin_window()
    if moment == "inside":
        BREAK[what](counter)
    broken = meter.end_window().components["cpu"]
    assert (broken.energy_j, broken.provenance) == (None, Provenance.NONE)
    assert broken.reason == f"the counter {counter} could not be read"
    if counter.is_dir():
        counter.rmdir()
    counter.write_text("1000000")
    meter.begin_window()
    counter.write_text("3000000")
    mended = meter.end_window().components["cpu"]
    assert mended.energy_j == pytest.approx(2.0)
    assert (mended.provenance, mended.reason) == (Provenance.COUNTER, None)


def test_a_counter_that_went_back_by_nobody_knows_how_much_is_unknown(meter, rapl):
    folder, counter = rapl
    counter.with_name("max_energy_range_uj").unlink()
    counter.write_text("1000000")
    read_only(meter, rapl_cpu(folder))
    meter.begin_window()
    counter.write_text("0")
    assert meter.end_window().components["cpu"].reason is not None


class NVML:
    """A driver with GPUs that codecarbon's real device class asks; it fails as NVML fails."""

    NVMLError = pynvml.NVMLError
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    gpus = 1

    def __init__(self):
        self.energy_mj, self.power_mw = 10_000_000, 200_000
        self.fails_with = {}

    def _answer(self, name, value):
        if name in self.fails_with:
            raise pynvml.NVMLError(self.fails_with[name])
        return value

    def lose(self):
        code = pynvml.NVML_ERROR_GPU_IS_LOST
        self.fails_with = dict.fromkeys(("energy", "power", "load"), code)

    def nvmlInit(self):  # noqa: N802
        pass

    def nvmlDeviceGetCount(self):  # noqa: N802
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return "some GPU"

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return f"GPU-{handle}"

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(total=1, free=1, used=0)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):  # noqa: N802
        return 300_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        return self._answer("energy", self.energy_mj)

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        return self._answer("power", self.power_mw)

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        return self._answer("load", SimpleNamespace(gpu=50))


@pytest.fixture
def nvml(monkeypatch):
    driver = NVML()
    monkeypatch.setattr(gpu_nvidia, "pynvml", driver)
    monkeypatch.setattr(gpu, "PYNVML_AVAILABLE", True)
    monkeypatch.setattr(gpu, "AMDSMI_AVAILABLE", False)
    return driver


def gpu_window(meter, nvml, during=lambda: None):
    meter.begin_window()
    during()
    nvml.energy_mj += 7_000
    return meter.end_window().components["gpu"]


def test_a_gpu_counter_is_read_in_joules(meter, nvml):
    read_only(meter, GPU.from_utils())
    found = gpu_window(meter, nvml)
    assert found.energy_j == pytest.approx(7.0)
    assert (found.provenance, found.reason) == (Provenance.COUNTER, None)


@pytest.mark.parametrize("has_counter", [True, False], ids=["counter", "power"])
def test_a_gpu_that_disappears_costs_its_windows_and_no_others(meter, nvml, has_counter):
    without = {} if has_counter else {"energy": pynvml.NVML_ERROR_NOT_SUPPORTED}
    nvml.fails_with = without
    read_only(meter, GPU.from_utils())
    known = meter.describe()["gpu"].provenance
    assert known is (Provenance.COUNTER if has_counter else Provenance.SAMPLED)
    for lost in (gpu_window(meter, nvml, nvml.lose), gpu_window(meter, nvml)):
        assert (lost.energy_j, lost.provenance) == (None, Provenance.NONE)
        assert lost.reason == "GPU 0 does not answer"
    nvml.fails_with = without
    found = gpu_window(meter, nvml, lambda: time.sleep(0.02))
    assert (found.provenance, found.reason) == (known, None)
    assert found.energy_j == pytest.approx(7.0) if has_counter else found.energy_j > 0


def test_a_gpu_whose_counter_fails_is_not_read_by_a_model_instead(meter, nvml):
    read_only(meter, GPU.from_utils())

    def fail():
        nvml.fails_with = {"energy": pynvml.NVML_ERROR_UNKNOWN}

    def reset():
        nvml.fails_with = {}
        nvml.energy_mj = 0

    def recover():
        nvml.fails_with = {}

    found = [gpu_window(meter, nvml, during) for during in (fail, recover, reset, recover)]
    assert [part.energy_j for part in found] == [None, None, None, pytest.approx(7.0)]
    reason = "the energy counter of GPU 0 does not answer, or was reset"
    assert [part.reason for part in found] == [reason, reason, reason, None]


def test_one_lost_gpu_of_two_makes_the_energy_of_both_unknown(meter, nvml):
    nvml.gpus = 2
    read_only(meter, GPU.from_utils())
    answer = nvml.nvmlDeviceGetTotalEnergyConsumption

    def lose_second():
        nvml.fails_with = {"power": pynvml.NVML_ERROR_GPU_IS_LOST}
        nvml.nvmlDeviceGetTotalEnergyConsumption = lambda handle: (
            nvml._answer("power", 0) if handle == 1 else answer(handle)
        )

    assert gpu_window(meter, nvml).energy_j == pytest.approx(14.0)
    assert gpu_window(meter, nvml, lose_second).reason == "GPU 1 does not answer"


def nobody_knows(*_, **__):
    raise OSError("nobody knows")


def test_a_window_that_fails_at_its_end_leaves_the_meter_usable(meter, monkeypatch):
    part = RAM()
    read_only(meter, part)
    with monkeypatch.context() as patch:
        patch.setattr(part, "measure_power_and_energy", nobody_knows)
        meter.begin_window()
        with pytest.raises(OSError, match="nobody knows"):
            meter.end_window()
    with pytest.raises(EnergyError, match="no codecarbon window is open"):
        meter.end_window()
    assert meter._tracker._active_task is None
    assert meter._tracker._tasks == {}
    assert read(meter).components["ram"].energy_j > 0


def test_a_window_that_fails_at_its_start_is_not_open(meter, monkeypatch):
    part = RAM()
    read_only(meter, part)
    with monkeypatch.context() as patch:
        patch.setattr(part, "start", nobody_knows)
        with pytest.raises(OSError, match="nobody knows"):
            meter.begin_window()
    with pytest.raises(EnergyError, match="no codecarbon window is open"):
        meter.end_window()
    assert read(meter).components["ram"].energy_j > 0


def test_a_meter_whose_last_window_would_fail_can_be_closed(meter, monkeypatch):
    part = RAM()
    read_only(meter, part)
    meter.begin_window()
    monkeypatch.setattr(part, "measure_power_and_energy", nobody_knows)
    meter.close()
    timer = meter._tracker._scheduler_monitor_power._timer
    timer.join(timeout=400)
    assert not timer.is_alive()


def test_tasks_are_not_kept(meter):
    for _ in range(3):
        read(meter, 0.0)
    assert meter._tracker._tasks == {}


# What follows pins what greenbench takes from inside codecarbon. Where an upgrade changes it,
# greenbench/energy/codecarbon.py must be looked at again, and then the test.


def test_greenbench_knows_all_hardware_of_codecarbon():
    known = {"CPU", "GPU", "RAM", "AppleSiliconChip", "Raspberry"}
    classes = {
        name: kind
        for module in (hardware, ram)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, hardware.BaseHardware) and kind is not hardware.BaseHardware
    }
    assert set(classes) == known
    parts = {name: object.__new__(kind) for name, kind in classes.items()}
    parts["CPU"]._mode = "intel_rapl"
    parts["GPU"].devices = SimpleNamespace(devices=[])
    parts["AppleSiliconChip"].chip_part = parts["Raspberry"].chip_part = "CPU"
    described = {name: component_of(part)[0] for name, part in parts.items()}
    assert [name for name, found in described.items() if found is Provenance.NONE] == []


def value_of(module, node):
    """Return a constant, also where the source gives it by the name of a module's constant."""
    return node.value if isinstance(node, ast.Constant) else getattr(module, node.id)


def test_greenbench_knows_all_cpu_modes_of_codecarbon():
    tree = ast.parse(inspect.getsource(resource_tracker))
    built = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("CPU", "CPU.from_utils")
    ]
    given = [
        next((word.value for word in call.keywords if word.arg == "mode"), None) or call.args[1]
        for call in built
    ]
    modes = {value_of(resource_tracker, node) for node in given}
    assert modes == set(codecarbon.CPU_PROVENANCE)


def test_codecarbon_compares_cpu_modes_with_no_others():
    tree = ast.parse(inspect.getsource(CPU))
    compared = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and ast.unparse(node.left) == "self._mode":
            (other,) = node.comparators
            listed = other.elts if isinstance(other, ast.List | ast.Tuple) else [other]
            compared |= {value_of(hardware, each) for each in listed}
    # It asks for this mode, and never sets it: Apple's chips have a class of their own.
    assert compared == {*codecarbon.CPU_PROVENANCE, "apple_powermetrics"}


def a_tracker(meter, rapl, nvml):
    return meter._tracker


def a_cpu(meter, rapl, nvml):
    return rapl_cpu(rapl[0])


def its_interface(meter, rapl, nvml):
    return rapl_cpu(rapl[0])._intel_interface


def its_counter(meter, rapl, nvml):
    return rapl_cpu(rapl[0])._intel_interface._rapl_files[0]


def a_gpu(meter, rapl, nvml):
    return GPU.from_utils().devices.devices[0]


def the_tdp(meter, rapl, nvml):
    return TDP


TAKEN = {
    a_tracker: {"_hardware", "_active_task", "_tasks", "_scheduler_monitor_power"},
    a_cpu: {"_mode", "_model", "_tdp", "_intel_interface"},
    its_interface: {"_rapl_files"},
    its_counter: {"path", "sample_skipped"},
    a_gpu: {
        *("gpu_index", "_has_counter", "_power_limit"),
        *("_use_power_fallback", "_warned_power_failure"),
    },
    the_tdp: {"_get_cpu_power_from_registry"},
}


@pytest.mark.parametrize("part", TAKEN, ids=lambda part: part.__name__)
def test_what_greenbench_takes_from_inside_codecarbon_is_there(meter, rapl, nvml, part):
    found = part(meter, rapl, nvml)
    assert {name for name in TAKEN[part] if not hasattr(found, name)} == set()


@pytest.mark.parametrize("kind", ["AppleSiliconChip", "Raspberry"])
def test_chips_that_need_their_own_host_say_what_they_are_a_part_of(kind):
    source = inspect.getsource(getattr(hardware, kind).__init__)
    assert "self.chip_part = chip_part" in source


def test_nothing_else_is_taken_from_inside_codecarbon():
    taken = set()
    for node in ast.walk(ast.parse(inspect.getsource(codecarbon))):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) != "self":
            taken.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr":
            taken.add(node.args[1].value)
    private = {name for name in taken if name.startswith("_") and not name.startswith("__")}
    pinned = {name for names in TAKEN.values() for name in names if name.startswith("_")}
    assert private == pinned


def test_closing_stops_a_timer_that_started_itself_anew(meter):
    scheduler = meter._tracker._scheduler_monitor_power
    scheduler.start(from_run=True)
    meter.close()
    scheduler._timer.join(timeout=400)
    assert not scheduler._timer.is_alive()


@pytest.mark.integration
@pytest.mark.parametrize("library", ["pynvml", "amdsmi"])
def test_it_prints_nothing_even_where_a_gpu_library_does(tmp_path, library):
    (tmp_path / f"{library}.py").write_text(
        "import sys\n"
        "print('hello from', __name__)\n"
        "print('hello from', __name__, file=sys.stderr)\n"
        "raise ImportError('no driver')\n"
    )
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "from greenbench.energy.codecarbon import CodecarbonMeter as M; M().close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.integration
def test_it_prints_nothing(tmp_path):
    program = "from greenbench.energy.codecarbon import CodecarbonMeter as M; M().close()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
