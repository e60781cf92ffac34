from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "bench_gate.py"
OURS = (
    "interleaved",
    "interleaved, fourfold drift",
    "stored baseline",
    "ten stored sessions",
    "absolute budget",
)
SESSIONS = 2_000


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
def test_unchanged_code_fails_in_2_percent_of_sessions_at_most(
    bench_gate: ModuleType, rule: str, between: float
) -> None:
    assert bench_gate.share(rule, between, 1.0, SESSIONS) <= 0.02


def test_unchanged_code_rarely_fails_where_no_increase_is_allowed(
    bench_gate: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_gate, "ALLOWED", 1.0)
    assert bench_gate.share("interleaved", 0.10, 1.0, SESSIONS) <= 0.02


@pytest.mark.parametrize("between", [0.05, 0.10])
def test_interleaved_finds_an_increase_by_20_percent(
    bench_gate: ModuleType, between: float
) -> None:
    assert bench_gate.share("interleaved", between, 1.2, SESSIONS) >= 0.75


def test_interleaved_finds_half_as_much_again_on_a_machine_that_gets_four_times_as_slow(
    bench_gate: ModuleType,
) -> None:
    assert bench_gate.share("interleaved, fourfold drift", 0.05, 1.5, SESSIONS) >= 0.95


def test_plain_rules_raise_the_false_alarms_that_ours_avoid(bench_gate: ModuleType) -> None:
    assert bench_gate.share("mean + 10% (not ours)", 0.10, 1.0, 500) > 0.15
    assert bench_gate.share("Mann-Whitney at 5% (not ours)", 0.10, 1.0, 500) > 0.15
