"""The table of the check on a machine with a GPU: what it says of figures, good and bad."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
JOULES = {"xs": 10.0, "s": 11.0, "m": 12.0, "l": 14.0, "xl": 20.0}


@pytest.fixture(scope="module")
def check() -> Any:
    path = ROOT / "benchmarks" / "gpu_check.py"
    spec = importlib.util.spec_from_file_location("gpu_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_check"] = module
    spec.loader.exec_module(module)
    return module


def rows(
    joules: dict[str, float] = JOULES,
    spread: float = 0.01,
    marks: str | None = None,
    disagreement: float | None = 0.01,
) -> list[dict[str, Any]]:
    return [
        {
            "size": size,
            "gpu_wh": value * (1 + spread * (repeat - 2)) / 3600,
            "marks": marks,
            "meter_disagreement": disagreement,
        }
        for size, value in joules.items()
        for repeat in range(5)
    ]


def verdicts(found: Sequence[Any]) -> list[bool | None]:
    return [each.is_met for each in found]


def test_good_family_meets_all_bars(check: Any) -> None:
    assert verdicts(check.judge_family(rows())) == [True] * 4


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (rows({**JOULES, "xl": 13.0}), [False, True, True, True]),
        (rows({**JOULES, "s": 10.0}), [False, True, True, True]),
        (rows(spread=0.04), [True, False, True, True]),
        (rows(marks="short drifted"), [True, True, False, True]),
        (rows(disagreement=0.04), [True, True, True, False]),
        (rows(disagreement=None), [True, True, True, None]),
    ],
)
def test_bad_family_fails_its_bar_alone(
    check: Any, bad: list[dict[str, Any]], expected: list[bool | None]
) -> None:
    assert verdicts(check.judge_family(bad)) == expected


def test_missing_samples_are_no_verdict(check: Any) -> None:
    with pytest.raises(RuntimeError, match="expected 5 samples of each size"):
        check.judge_family(rows()[:-1])


def test_speed_is_compared_round_by_round(check: Any) -> None:
    assert check.judge_speed(512, [250.0, 500.0], [100.0, 200.0], 2.5).is_met
    assert not check.judge_speed(512, [249.0, 498.0], [100.0, 200.0], 2.5).is_met


@pytest.mark.parametrize(
    ("batched", "expected"), [(0.9, [True, True]), (1.5, [False, True]), (6.0, [False, False])]
)
def test_batches_are_compared_with_both_ways_alone(
    check: Any, batched: float, expected: list[bool]
) -> None:
    found = check.judge_batches({"plain": 10.0, "graphs": 4.0, "batched": batched})
    assert verdicts(found) == expected


@pytest.mark.parametrize(("batched", "is_met"), [(900e3, True), (190e3, False)])
def test_images_a_second_of_all_lanes_are_told(check: Any, batched: float, is_met: bool) -> None:
    found = check.judge_rates({"plain": 25e3, "graphs": 200e3, "batched": batched})
    assert found.measured.startswith(f"{batched / 1000:.0f}k (alone: 25k without graphs, 200k with")
    assert found.is_met is is_met


@pytest.mark.parametrize(
    ("returncode", "last", "is_met"),
    [
        (0, "==== 20 passed, 900 deselected in 80.1s ====", True),
        (1, "==== 1 failed, 19 passed in 80.1s ====", False),
        (0, "==== 20 skipped in 1.0s ====", False),
        (5, "==== 900 deselected in 1.0s ====", False),
        (0, "", False),
    ],
)
def test_tests_must_run_and_pass(check: Any, returncode: int, last: str, is_met: bool) -> None:
    assert check.judge_tests(returncode, f"....\n{last}\n").is_met is is_met


def test_table_has_a_row_a_bar_and_a_part_that_fails_is_one(check: Any) -> None:
    def fail() -> list[Any]:
        raise RuntimeError("no CUDA GPU here\nand more")

    found = [check.Verdict("fast", "3.0", True), check.Verdict("frugal", "9", False)]
    lines = check.table([*found, *check.attempt("batches", fail)]).splitlines()
    assert [line.split()[-1] for line in lines[2:]] == ["met", "MET", "measured"]
    assert lines[-1].startswith("batches can be measured  RuntimeError: no CUDA GPU here")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os.abort()", "it ended with -6"),
        ("import time; time.sleep(600)", "it took more than 1 s"),
        ("pass", "it ended with 0"),
    ],
    ids=["crash", "hang", "nothing"],
)
def test_part_that_crashes_or_hangs_is_a_row(
    check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    script = tmp_path / "part.py"
    script.write_text(code)
    monkeypatch.setattr(check, "__file__", str(script))
    # Only who hangs may reach the limit, however busy the machine.
    [found] = check.apart("batches", tmp_path, 1 if "sleep" in code else 300)
    assert (found.bar, found.measured, found.is_met) == ("batches can be measured", told, None)


def test_unknown_part_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "gpu_check.py"), "--parts", "sped"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no part sped; expected family, speed, batches, tests" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")
def test_script_says_what_it_could_not_measure(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "benchmarks" / "gpu_check.sh"), "--parts", "speed,batches"],
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.count("torch sees no CUDA GPU here") == 2
    assert list(tmp_path.iterdir()) == []
