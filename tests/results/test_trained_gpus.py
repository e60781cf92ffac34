"""GPUs in results: rows, marks, and what older results do not have."""

import json
from collections.abc import Sequence

import pytest

from greenbench.results import CaseResult
from greenbench.results.gpus import Gpu, GpuState, TrainedGpu
from greenbench.results.heat import mark_hot
from greenbench.results.marks import marks_of
from greenbench.results.table import to_row
from tests.builders import make_result, make_row

COOL = GpuState(34.0, 345.0, 700.0, (), 0.0)
WARM = GpuState(61.0, 1905.0, 700.0, ("power_limit",), 0.01)


def trained(
    before: GpuState = COOL, after: GpuState = WARM, *, is_slice: bool = False
) -> TrainedGpu:
    return TrainedGpu(Gpu(1, "GPU-a", "NVIDIA H200", is_slice), before, after)


def result_of(*gpus: TrainedGpu) -> CaseResult:
    return make_result(gpus=gpus)


def test_states_outlive_the_journal() -> None:
    result = result_of(trained(), trained(GpuState()))
    assert CaseResult.from_dict(json.loads(json.dumps(result.to_dict()))).gpus == result.gpus


def test_older_results_have_no_gpus() -> None:
    values = result_of(trained()).to_dict()
    del values["gpus"]
    assert CaseResult.from_dict(values).gpus == ()


def test_row_has_both_ends() -> None:
    row = to_row(result_of(trained()))
    assert (row["gpu_temperature_before_c"], row["gpu_temperature_c"]) == (34.0, 61.0)
    assert (row["gpu_sm_clock_before_mhz"], row["gpu_sm_clock_mhz"]) == (345.0, 1905.0)
    assert (row["gpu_power_limit_before_w"], row["gpu_power_limit_w"]) == (700.0, 700.0)
    assert (row["throttled_by"], row["gpu_others_share"]) == ("power_limit", 0.01)


def test_row_of_several_cards_is_of_the_warmest_and_the_slowest() -> None:
    other = trained(after=GpuState(70.0, 1500.0, 350.0, (), None))
    row = to_row(result_of(trained(), other))
    assert (row["gpu_temperature_c"], row["gpu_sm_clock_mhz"]) == (70.0, 1500.0)
    assert row["gpu_power_limit_w"] == 1050.0


@pytest.mark.parametrize("gpus", [[], [trained(GpuState(), GpuState())]], ids=["none", "silent"])
def test_what_is_unknown_is_no_figure_and_no_mark(gpus: Sequence[TrainedGpu]) -> None:
    row = to_row(result_of(*gpus))
    found = {name: value for name, value in row.items() if name.startswith("gpu_")}
    assert set(found.values()) == {None}
    assert (row["throttled_by"], row["marks"]) == (None, None)


def test_sum_of_limits_is_unknown_where_one_is() -> None:
    silent = trained(after=GpuState(70.0))
    assert to_row(result_of(trained(), silent))["gpu_power_limit_w"] is None


@pytest.mark.parametrize(
    ("gpu", "marks"),
    [
        (trained(), ()),
        (trained(after=GpuState(90.0, 900.0, 700.0, ("software_thermal",))), ("throttled",)),
        (trained(before=GpuState(90.0, 900.0, 700.0, ("power_brake",))), ("throttled",)),
        (trained(is_slice=True), ("shared",)),
        (trained(after=GpuState(others_share=0.05)), ()),
        (trained(after=GpuState(others_share=0.06)), ("disturbed",)),
        (trained(before=GpuState(others_share=0.06)), ("disturbed",)),
    ],
    ids=["fine", "heat after", "brake before", "slice", "others", "busy after", "busy before"],
)
def test_marks_say_what_was_wrong_with_a_card(gpu: TrainedGpu, marks: tuple[str, ...]) -> None:
    assert marks_of(result_of(gpu)) == marks


def hot_of(*temperatures: float | None, **changed: object) -> list[bool]:
    rows = [
        make_row(changed={"gpu_temperature_before_c": temperature, **changed})
        for temperature in temperatures
    ]
    mark_hot(rows)
    return ["hot" in str(row["marks"]) for row in rows]


@pytest.mark.parametrize(
    ("temperatures", "expected"),
    [
        ([40.0], [False]),
        ([40.0, 45.0], [False, False]),
        ([40.0, 46.0], [True, True]),
        ([40.0, 41.0, 47.0], [False, False, True]),
        ([30.0, 41.0, 42.0, 43.0], [True, False, False, False]),
        ([47.0, 41.0, None, 40.0], [True, False, False, False]),
        ([None, None], [False, False]),
    ],
)
def test_sample_is_hot_beside_the_others_of_its_family(
    temperatures: list[float | None], expected: list[bool]
) -> None:
    assert hot_of(*temperatures) == expected


@pytest.mark.parametrize("column", ["family", "backend", "setting", "host", "device"])
def test_samples_of_other_families_and_machines_have_no_say(column: str) -> None:
    rows = [
        make_row(changed={"gpu_temperature_before_c": temperature, column: f"{temperature}"})
        for temperature in (40.0, 60.0)
    ]
    mark_hot(rows)
    assert not any("hot" in str(row["marks"]) for row in rows)


def test_hot_is_said_once_beside_other_marks() -> None:
    rows = [
        make_row(changed={"gpu_temperature_before_c": temperature, "marks": "short"})
        for temperature in (40.0, 60.0)
    ]
    mark_hot(rows)
    mark_hot(rows)
    assert [row["marks"] for row in rows] == ["short hot"] * 2
