"""Both meters read the cards that train and no others: their real code, on a made-up NVML."""

import os
from collections.abc import Callable, Iterator

import pynvml
import pytest
from codecarbon.core import gpu, gpu_nvidia, hardware_cache, resource_tracker

from greenbench import registry
from greenbench.energy.codecarbon import CodecarbonMeter
from greenbench.energy.gpus import Gpu, gpus_to_read, training_gpus
from greenbench.energy.meter import Meter
from greenbench.energy.meters import open_meter
from greenbench.energy.process import ProcessMeter
from greenbench.energy.zeus import ZeusMeter
from greenbench.results.readings import Provenance
from greenbench.testing import FakeMeter
from tests.made_up_nvml import LOST, NOT_SUPPORTED, Card, MadeUpNvml, install

zeus_gpu = pytest.importorskip("zeus.device.gpu")
from zeus.device.gpu import nvidia  # noqa: E402

T4 = {"name": "NVIDIA T4", "cores": 2560, "max_clock_mhz": 1590, "limit_mw": 70_000}
nvml_is_available = nvidia.nvml_is_available
Read = Callable[[type[Meter], list[Gpu] | None], Meter]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUpNvml:
    """Three cards, the slowest of which is first on the bus."""
    made = install(
        monkeypatch,
        Card("GPU-slow", bus=0x10, **T4),
        Card("GPU-fast", bus=0x20),
        Card("GPU-sliced", bus=0x30, slices=["MIG-one"]),
    )
    for module in (gpu, gpu_nvidia):
        monkeypatch.setattr(module, "pynvml", pynvml)
        monkeypatch.setattr(module, "PYNVML_AVAILABLE", True)
    monkeypatch.setattr(resource_tracker.gpu, "is_nvidia_system", lambda: True)
    monkeypatch.setattr(hardware_cache, "_plans", {})
    monkeypatch.setattr(zeus_gpu, "_gpus", None)
    nvml_is_available.cache_clear()
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "ZEUSD_SOCK_PATH"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture
def opened(made_up: MadeUpNvml) -> Iterator[Read]:
    meters: list[Meter] = []

    def open_one(kind: type[Meter], gpus: list[Gpu] | None) -> Meter:
        meters.append(kind(gpus=gpus))  # type: ignore[call-arg]
        return meters[-1]

    yield open_one
    for meter in meters:
        meter.close()
    nvml_is_available.cache_clear()


def gpu_j(meter: Meter, made_up: MadeUpNvml) -> float | None:
    """Return what is read of a window in which the cards use 1, 10 and 100 J."""
    meter.begin_window()
    for place, card in enumerate(made_up.cards):
        card.energy_mj += 1000 * 10**place
    part = meter.end_window().components.get("gpu")
    # codecarbon's kWh are rounded.
    return None if part is None or part.energy_j is None else round(part.energy_j, 3)


FORMS = [
    (None, 10.0),
    ("0", 10.0),
    ("2", 1.0),
    ("2,0", 1.0),
    ("GPU-slow", 1.0),
    ("GPU-f", 10.0),
    ("MIG-one", 100.0),
    ("MIG-GPU-sliced/1/0", 100.0),
    ("", None),
    ("-1", None),
    ("9", None),
]
BOTH = pytest.mark.parametrize("kind", [CodecarbonMeter, ZeusMeter])


@BOTH
@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form[0]))
def test_card_that_trains_is_read_alone_in_each_form(
    made_up: MadeUpNvml,
    opened: Read,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Meter],
    form: tuple[str | None, float | None],
) -> None:
    listed, expected_j = form
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    gpus = gpus_to_read(os.environ)
    # A worker has two meters, and libraries that keep what the first one found.
    meters = [opened(kind, gpus), opened(kind, gpus)]
    assert [gpu_j(meter, made_up) for meter in meters] == [expected_j] * 2
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == listed


SEVERAL = [
    (None, None, 2, 110.0),
    (None, None, 3, 111.0),
    ("2,0", None, 2, 11.0),
    ("GPU-slow,GPU-fast", None, 2, 11.0),
    # As a backend tells them, whose processes see whichever they like.
    ("1", ["GPU-slow", "GPU-fast"], 2, 11.0),
    (None, ["GPU-fast", "GPU-fast"], 2, 10.0),
]


@pytest.mark.parametrize("kind", [CodecarbonMeter, ZeusMeter, ProcessMeter])
@pytest.mark.parametrize("several", SEVERAL)
def test_all_cards_that_share_a_training_are_read_and_each_counts_once(
    made_up: MadeUpNvml,
    opened: Read,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Meter],
    several: tuple[str | None, list[str] | None, int, float],
) -> None:
    listed, told, count, expected_j = several
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    gpus = gpus_to_read(os.environ, told, count)
    assert gpu_j(opened(kind, gpus), made_up) == expected_j


@BOTH
def test_worker_on_the_cpu_has_no_gpu_to_read(
    made_up: MadeUpNvml, opened: Read, kind: type[Meter]
) -> None:
    meter = opened(kind, gpus_to_read({}, told=[]))
    assert gpu_j(meter, made_up) is None
    found = meter.describe().get("gpu")
    assert found is None or found.provenance is Provenance.NONE


@BOTH
def test_cards_that_do_not_train_are_not_even_asked_in_a_window(
    made_up: MadeUpNvml, opened: Read, kind: type[Meter]
) -> None:
    meter = opened(kind, training_gpus({}))
    made_up.reads.clear()
    gpu_j(meter, made_up)
    assert set(made_up.reads) == {1}


def test_card_that_does_not_train_costs_no_figure_when_it_fails(
    made_up: MadeUpNvml, opened: Read
) -> None:
    meter = opened(CodecarbonMeter, training_gpus({}))
    made_up.cards[0].fails = dict.fromkeys(
        ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"), LOST
    )
    assert gpu_j(meter, made_up) == 10.0


@BOTH
def test_limit_and_method_are_those_of_the_card_that_trains(
    made_up: MadeUpNvml, opened: Read, kind: type[Meter]
) -> None:
    made_up.cards[0].fails = {"nvmlDeviceGetTotalEnergyConsumption": NOT_SUPPORTED}
    found = opened(kind, training_gpus({})).describe()["gpu"]
    assert (found.provenance, found.limit_w) == (Provenance.COUNTER, 700.0)


@BOTH
def test_counter_of_a_slice_is_called_the_whole_cards(
    made_up: MadeUpNvml, opened: Read, kind: type[Meter]
) -> None:
    sliced = opened(kind, training_gpus({"CUDA_VISIBLE_DEVICES": "MIG-one"})).describe()["gpu"]
    whole = opened(kind, training_gpus({})).describe()["gpu"]
    assert sliced.source.endswith("counter of the whole card, of which a slice (MIG) trains")
    assert whole.source.endswith("GPU energy counter")


@BOTH
def test_card_that_a_meter_does_not_find_is_unknown_and_not_left_out(
    made_up: MadeUpNvml, opened: Read, monkeypatch: pytest.MonkeyPatch, kind: type[Meter]
) -> None:
    gpus = training_gpus({})
    monkeypatch.setattr(resource_tracker.gpu, "is_nvidia_system", lambda: False)
    monkeypatch.setattr(resource_tracker.gpu, "is_rocm_system", lambda: False)
    monkeypatch.setattr(nvidia, "nvml_is_available", lambda: False)
    monkeypatch.setattr(zeus_gpu, "nvml_is_available", lambda: False)
    monkeypatch.setattr(zeus_gpu, "amdsmi_is_available", lambda: False)
    meter = opened(kind, gpus)
    assert gpu_j(meter, made_up) is None
    assert "does not find the NVIDIA H200" in str(meter.describe()["gpu"].reason)


def test_nobody_chooses_where_nvidias_library_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)

    def no_driver() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    assert gpus_to_read({}) == []
    monkeypatch.setattr(pynvml, "nvmlInit", no_driver)
    assert gpus_to_read({}) is None
    assert gpus_to_read({}, told=[]) == []


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Register meters of users, which do or do not ask for the cards; return what they got."""
    for table in ("_loaded", "_origins"):
        monkeypatch.setattr(registry.meters, table, dict(getattr(registry.meters, table)))
    seen: list[object] = []

    class Plain(FakeMeter):
        def __init__(self) -> None:
            super().__init__(lambda: 0.0, 1.0)
            seen.append("plain")

    class Asking(FakeMeter):
        def __init__(self, level: str = "1", *, gpus: object = "nothing") -> None:
            super().__init__(lambda: 0.0, float(level))
            seen.append(gpus)

    class Otherwise(FakeMeter):
        """One whose argument is called so by chance."""

        def __init__(self, gpus: str = "4") -> None:
            super().__init__(lambda: 0.0, float(gpus))
            seen.append(gpus)

    for name, meter in (("plain", Plain), ("asking", Asking), ("otherwise", Otherwise)):
        registry.register_meter(name)(meter)
    return seen


def test_meters_of_users_get_the_cards_if_they_ask_for_them(told: list[object]) -> None:
    cards = [Gpu(1, "GPU-fast", "NVIDIA H200")]
    for names in ("plain,asking:2,otherwise", "otherwise:8"):
        open_meter(names, cards).close()
    open_meter("asking").close()
    assert told == ["plain", cards, "4", "8", None]


def test_argument_is_never_taken_for_the_cards() -> None:
    with pytest.raises(Exception, match="takes no argument, but got 'x'"):
        open_meter("codecarbon:x")
