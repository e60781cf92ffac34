"""Which GPUs train, by each form of ``CUDA_VISIBLE_DEVICES``, and in which state they are."""

import sys

import pynvml
import pytest

from greenbench.energy.gpu_states import read_states
from greenbench.energy.gpus import training_gpus, visible_gpus
from tests.made_up_nvml import LOST, NOT_SUPPORTED, Card, MadeUpNvml, install

SLOW = Card("GPU-aaaa1111-0000", "NVIDIA T4", bus=0x10, cores=2560, max_clock_mhz=1590)
FAST = Card("GPU-bbbb2222-0000", "NVIDIA H200", bus=0x20)
SPARE = Card("GPU-bbbb3333-0000", "NVIDIA H200", bus=0x30)
SLICED = Card(
    "GPU-cccc4444-0000", "NVIDIA H100", bus=0x40, cores=14592,
    slices=("MIG-dddd5555-0000", "MIG-dddd6666-0000"),
)  # fmt: skip


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUpNvml:
    return install(monkeypatch, SLOW, FAST, SPARE, SLICED)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, [1, 2, 3, 0]),
        ("", []),
        ("-1", []),
        ("0", [1]),
        ("3,0", [0, 1]),
        (" 1 , 2", [2, 3]),
        ("1gpu,2", [2, 3]),
        ("0,7,1", [1]),
        ("0,-1,1", [1]),
        ("7", []),
        ("none", []),
        ("1,1", []),
        ("GPU-aaaa1111-0000", [0]),
        ("GPU-bbbb2222-0000,GPU-aaaa1111-0000", [1, 0]),
        ("GPU-aaaa", [0]),
        ("GPU-bbbb", []),
        ("GPU-aaaa,GPU-bbbb,GPU-cccc", [0]),
        ("GPU-aaaa,GPU-aaaa", []),
        ("GPU-aaaa,1", [0]),
        ("GPU-", []),
        ("GPU-dddd5555", []),
        ("MIG-dddd6666-0000", [3]),
        ("MIG-GPU-cccc4444-0000/1/0", [3]),
        ("MIG-eeee7777-0000", []),
        ("MIG-aaaa1111-0000", []),
    ],
)
def test_each_form_of_the_list_names_the_cards_that_cuda_shows(
    made_up: MadeUpNvml, listed: str | None, expected: list[int]
) -> None:
    environment = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert [gpu.index for gpu in visible_gpus(environment)] == expected
    assert made_up.open == 0


@pytest.mark.parametrize(
    ("listed", "expected"), [(None, [0, 1, 2, 3]), ("0", [0]), ("1,0", [1, 0])]
)
def test_order_of_the_bus_is_kept_where_it_is_asked_for(
    made_up: MadeUpNvml, listed: str | None, expected: list[int]
) -> None:
    environment = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if listed is not None:
        environment["CUDA_VISIBLE_DEVICES"] = listed
    assert [gpu.index for gpu in visible_gpus(environment)] == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, [1]),
        ([], []),
        (["GPU-aaaa1111-0000"], [0]),
        (["aaaa1111-0000"], [0]),
        (["0000:30:00.0"], [2]),
        (["00000000:30:00.0"], [2]),
        (["dddd6666-0000"], [3]),
        (["aaaa1111-0000", "aaaa1111-0000", "bbbb3333-0000"], [0, 2]),
        (["ffff9999-0000"], [1]),
    ],
)
def test_what_a_backend_tells_comes_before_the_environment(
    made_up: MadeUpNvml, told: list[str] | None, expected: list[int]
) -> None:
    assert [gpu.index for gpu in training_gpus({}, told)] == expected


@pytest.mark.parametrize("listed", ["MIG-dddd6666-0000", "MIG-GPU-cccc4444-0000/1/0", "GPU-cccc"])
def test_slice_is_told_from_a_whole_card(made_up: MadeUpNvml, listed: str) -> None:
    [sliced] = training_gpus({"CUDA_VISIBLE_DEVICES": listed})
    [whole] = training_gpus({"CUDA_VISIBLE_DEVICES": "GPU-aaaa"})
    assert (sliced.uuid, sliced.is_slice) == ("GPU-cccc4444-0000", True)
    assert not whole.is_slice


def test_without_driver_or_library_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FAST)

    def no_driver() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_driver)
    assert training_gpus({"CUDA_VISIBLE_DEVICES": "0"}) == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert training_gpus({}) == []
    assert training_gpus({}, ["GPU-aaaa"]) == []


def test_card_that_is_gone_is_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Card("GPU-aaaa", fails={"nvmlDeviceGetHandleByIndex": LOST})
    install(monkeypatch, gone, Card("GPU-bbbb"))
    assert [gpu.uuid for gpu in training_gpus({})] == ["GPU-bbbb"]


def test_state_has_units_and_the_reasons_that_hold_the_clock_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle_and_set = 0x01 | 0x02 | 0x10 | 0x100
    install(monkeypatch, Card("GPU-a", temperature=71, reasons=idle_and_set | 0x04 | 0x20))
    [state] = read_states(training_gpus({}))
    assert state.temperature_c == 71.0
    assert state.sm_clock_mhz == 1980.0
    assert state.power_limit_w == 700.0
    assert state.throttled_by == ("power_limit", "software_thermal")


def test_what_a_card_does_not_say_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = dict.fromkeys(
        (
            "nvmlDeviceGetTemperature",
            "nvmlDeviceGetEnforcedPowerLimit",
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetCurrentClocksThrottleReasons",
        ),
        NOT_SUPPORTED,
    )
    install(monkeypatch, Card("GPU-a", fails=silent))
    [state] = read_states(training_gpus({}))
    assert (state.temperature_c, state.power_limit_w, state.throttled_by) == (None, None, None)
    assert state.sm_clock_mhz == 1980.0
