"""The process meter: what this process and its own used of the CPU, whatever others do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from greenbench.energy import codecarbon
from greenbench.energy.counters import TICKING
from greenbench.energy.gpus import Gpu
from greenbench.energy.idle import measures
from greenbench.energy.meters import open_meter
from greenbench.energy.process import ProcessMeter
from greenbench.energy.process_tree import TreeClock
from greenbench.results.quality import net_j
from greenbench.results.readings import Provenance, Reading
from greenbench.testing import MeterConformance
from tests.made_up_nvml import LOST, NOT_SUPPORTED, Card, MadeUpNvml, install

CORES = os.cpu_count() or 1
WORK_S = 0.1
H200 = Gpu(0, "GPU-one", "NVIDIA H200")


def work(seconds: float) -> None:
    """Use a CPU for as many seconds of CPU time, however long that takes."""
    end_s = time.process_time() + seconds
    while time.process_time() < end_s:
        pass


def window(meter: ProcessMeter, during: Callable[[], object]) -> Reading:
    meter.begin_window()
    during()
    return meter.end_window()


class TestProcessMeter(MeterConformance):
    def make_meter(self) -> ProcessMeter:
        return ProcessMeter(cpu_tdp_w=100.0)

    def spend(self, seconds: float) -> None:
        work(seconds)


@pytest.fixture
def meter() -> Iterator[ProcessMeter]:
    """One that charges a joule for a CPU second."""
    meter = ProcessMeter(gpus=[], cpu_tdp_w=float(CORES))
    yield meter
    meter.close()


def test_a_cpu_second_is_charged_the_share_of_a_core(meter: ProcessMeter) -> None:
    around = TreeClock()
    reading = window(meter, lambda: work(WORK_S))
    assert reading.energy_j is not None
    assert WORK_S <= reading.energy_j <= around.read_s()


def test_the_work_of_children_is_charged(meter: ProcessMeter) -> None:
    program = f"import time\nwhile time.process_time() < {WORK_S}: pass"
    reading = window(meter, lambda: subprocess.run([sys.executable, "-c", program], check=True))
    assert reading.energy_j is not None
    assert reading.energy_j >= 0.9 * WORK_S


def test_it_is_an_estimate_of_its_own_work_without_uncertainty(meter: ProcessMeter) -> None:
    reading = window(meter, lambda: None)
    assert reading.provenance is Provenance.MODEL
    assert reading.uncertainty_j is None
    assert not reading.is_affected_by_others
    assert set(reading.components) == {"cpu"}


def test_it_has_neither_idle_power_nor_net_energy(meter: ProcessMeter) -> None:
    assert not measures(meter)
    assert net_j(window(meter, lambda: work(0.01)), {}) is None


def test_its_source_says_the_watts_and_where_they_are_from() -> None:
    told = open_meter("process", [], cpu_tdp_w=7.0 * CORES).describe()["cpu"].source
    assert told == (
        f"CPU seconds of this process and its own at 7 W: TDP {7 * CORES} W by "
        f"GREENBENCH_CPU_TDP_W / {CORES} logical cores"
    )


def test_without_a_figure_of_the_user_codecarbon_tells_or_guesses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guessed = CORES * 4
    monkeypatch.setattr(codecarbon, "_is_known", lambda model: False)
    assert codecarbon.look_up_tdp() == (guessed, "guessed (unknown CPU)")
    source = ProcessMeter(gpus=[]).describe()["cpu"].source
    assert "at 4 W" in source
    assert "guessed" in source


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> MadeUpNvml:
    return install(monkeypatch, Card("GPU-one"), Card("GPU-two", bus=0x20))


def use_gpu(made_up: MadeUpNvml) -> None:
    made_up.cards[0].energy_mj += 7_000
    made_up.cards[1].energy_mj += 100_000


def test_the_gpu_that_trains_is_read_by_its_counter(card: MadeUpNvml) -> None:
    found = window(ProcessMeter(gpus=[H200], cpu_tdp_w=1.0), lambda: use_gpu(card))
    gpu = found.components["gpu"]
    assert (gpu.energy_j, gpu.provenance) == (7.0, Provenance.COUNTER)
    assert gpu.is_affected_by_others
    assert found.is_affected_by_others


def test_a_gpu_without_a_counter_is_unknown_and_the_cpu_is_not(card: MadeUpNvml) -> None:
    card.cards[0].fails["nvmlDeviceGetTotalEnergyConsumption"] = NOT_SUPPORTED
    found = window(ProcessMeter(gpus=[H200], cpu_tdp_w=1.0), lambda: work(0.001)).components
    assert (found["gpu"].energy_j, found["gpu"].provenance) == (None, Provenance.NONE)
    assert "NVIDIA H200 that trains" in str(found["gpu"].reason)
    assert found["cpu"].energy_j


def test_a_gpu_that_is_lost_costs_its_own_figure_alone(card: MadeUpNvml) -> None:
    meter = ProcessMeter(gpus=[H200], cpu_tdp_w=1.0)
    lose = {"nvmlDeviceGetTotalEnergyConsumption": LOST}
    lost = window(meter, lambda: card.cards[0].fails.update(lose)).components
    assert lost["gpu"].energy_j is None
    assert "does not answer" in str(lost["gpu"].reason)
    assert lost["cpu"].energy_j is not None
    card.cards[0].fails.clear()
    assert window(meter, lambda: use_gpu(card)).components["gpu"].energy_j == 7.0


def test_the_machines_counters_never_replace_what_the_process_used() -> None:
    assert TICKING["process"] is None
