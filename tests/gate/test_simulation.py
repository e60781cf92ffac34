"""The figures of docs/results/gate.md, with 2,000 simulations a cell; see also test_sequential."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.simulated

PATH = Path(__file__).parents[2] / "benchmarks" / "bench_gate.py"
OURS = ("stored baseline", "ten stored sessions", "absolute budget")
COUNT = 2_000


@pytest.fixture(scope="module")
def bench_gate() -> ModuleType:
    spec = spec_from_file_location("bench_gate", PATH)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("between", [0.05, 0.10])
@pytest.mark.parametrize("rule", OURS)
def test_unchanged_code_is_violated_in_2_percent_of_sessions_at_most(
    bench_gate: ModuleType, rule: str, between: float
) -> None:
    assert bench_gate.violated(rule, between, 1.0, COUNT).mean() <= 0.02


def test_headline_has_the_figures_that_were_promised(bench_gate: ModuleType) -> None:
    found = bench_gate.headline(COUNT)
    assert found["gate_false_alarms_per_build"] <= 0.025
    assert found["gate_pairs_unchanged_cv5"] <= 4.1
    assert found["gate_power_20_cv5"] >= 0.98


def test_limits_that_share_no_error_fail_a_quarter_of_unchanged_builds(
    bench_gate: ModuleType,
) -> None:
    found = {(each.rule, each.allowed): each for each in bench_gate.builds(500, (15,))}
    assert found["each for itself", 1.0].unchanged > 0.15
    assert found["all together", 1.0].unchanged <= 0.035
    assert found["all together", 1.1].unchanged <= 0.01
    assert found["all together", 1.1].one_case_beyond >= 0.97


@pytest.mark.parametrize("rule", OURS[:2])
def test_unchanged_builds_of_15_stored_limits_are_hardly_ever_violated(
    bench_gate: ModuleType, rule: str
) -> None:
    assert bench_gate.stored_builds(rule, 15, 1.0, 100) <= 0.06


@pytest.mark.parametrize(("kind", "power"), [("t3", 0.97), ("outliers", 0.75)])
def test_heavy_tails_and_outliers_hide_some_growth_and_raise_no_alarms(
    bench_gate: ModuleType, kind: str, power: float
) -> None:
    calm, grew = bench_gate.in_turn(bench_gate.Weather(kind, 0.05, kind), COUNT, (1.0, 1.2))
    assert calm.violated <= 0.01
    assert grew.violated >= power


def test_growth_is_found_in_few_pairs_under_fourfold_drift(bench_gate: ModuleType) -> None:
    weather = bench_gate.WEATHERS[-1]
    five, eight = (bench_gate.fixed(weather, pairs, COUNT) for pairs in (5, 8))
    assert max(five.unchanged, eight.unchanged) <= 0.02
    assert five.grown_by_20 >= 0.6
    assert eight.grown_by_20 >= 0.9


def test_levels_at_each_look_are_those_that_were_calibrated(bench_gate: ModuleType) -> None:
    known = dict(zip(*bench_gate.NOMINAL, strict=True))
    found = bench_gate.calibrate(COUNT)
    # Rarer ones need more simulations.
    for error in (0.05, 0.1, 0.2):
        assert found[error] == pytest.approx(known[error], rel=0.25)


def test_plain_rules_raise_the_false_alarms_that_ours_avoid(bench_gate: ModuleType) -> None:
    assert bench_gate.violated("mean + 10% (not ours)", 0.10, 1.0, 500).mean() > 0.15
    assert bench_gate.violated("Mann-Whitney at 5% (not ours)", 0.10, 1.0, 500).mean() > 0.15
