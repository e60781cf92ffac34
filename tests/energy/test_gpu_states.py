"""GPUs at both ends of a repeat: what is recorded, and who else used them."""

import os
import subprocess
import sys

import pytest

from greenbench.energy.gpu_states import GpuWatch
from greenbench.energy.gpus import training_gpus
from greenbench.results.gpus import TrainedGpu
from tests.made_up_nvml import NOT_SUPPORTED, Card, install

OWN, OTHER, THIRD = os.getpid(), 999_999_001, 999_999_002


def watched(card: Card) -> TrainedGpu:
    [found] = GpuWatch(training_gpus({})).end()
    return found


def test_both_ends_are_read_and_not_what_is_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card("GPU-a", temperature=35, clock_mhz=345)
    made_up = install(monkeypatch, card)
    watch = GpuWatch(training_gpus({}))
    card.temperature, card.clock_mhz, card.reasons = 62, 1905, 0x40
    [found] = watch.end()
    assert (found.before.temperature_c, found.after.temperature_c) == (35.0, 62.0)
    assert (found.before.sm_clock_mhz, found.after.sm_clock_mhz) == (345.0, 1905.0)
    assert (found.before.throttled_by, found.after.throttled_by) == ((), ("hardware_thermal",))
    assert made_up.open == 0


def test_without_a_gpu_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = install(monkeypatch, Card("GPU-a"))
    assert GpuWatch([]).end() == ()
    assert made_up.inits == 0


@pytest.mark.parametrize(
    ("processes", "samples", "share"),
    [
        ([OWN], [(OWN, 97)], 0.0),
        ([OWN], [], 0.0),
        ([OWN, OTHER], [(OWN, 60), (OTHER, 30), (OTHER, 10)], 0.2),
        ([OWN, OTHER, THIRD], [(OTHER, 4), (THIRD, 3)], 0.07),
        ([OWN], [(0, 80), (OTHER, 4_000_000)], 0.0),
        ([OWN], [(OTHER, 90), (THIRD, 80)], 1.0),
        # In a container: of another namespace, or none.
        ([OTHER], [(OTHER, 97)], None),
        ([], [(OTHER, 97)], None),
        ([], [], None),
    ],
)
def test_only_work_of_other_processes_is_a_share(
    monkeypatch: pytest.MonkeyPatch,
    processes: list[int],
    samples: list[tuple[int, int]],
    share: float | None,
) -> None:
    card = Card("GPU-a", processes=processes, samples=samples)
    install(monkeypatch, card)
    assert watched(card).after.others_share == (share if share is None else pytest.approx(share))


def test_what_a_driver_does_not_tell_of_others_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    fails = {"nvmlDeviceGetProcessUtilization": NOT_SUPPORTED}
    card = Card("GPU-a", processes=[OWN, OTHER], fails=fails)
    install(monkeypatch, card)
    assert watched(card).after.others_share is None


def test_our_own_children_are_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        card = Card("GPU-a", processes=[OWN, child.pid], samples=[(OWN, 40), (child.pid, 50)])
        install(monkeypatch, card)
        share = watched(card).after.others_share
        child.communicate(b"\n")
    assert share == 0.0
