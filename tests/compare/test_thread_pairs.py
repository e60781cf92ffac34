"""Threads in comparisons: refused where they differ, unless they are what is compared."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.compare.factors import compare_factors
from greenbench.compare.parts import to_pairs
from greenbench.compare.ratios import compare_ratios
from greenbench.compare.returns import compare_returns
from greenbench.errors import NotComparableError
from greenbench.results.table import to_row
from tests.builders import make_result, make_row

Row = dict[str, Any]


def session(
    threads: int | None, joules: float, name: str, *, recorded: str | None = None, repeats: int = 5
) -> list[Row]:
    """Return the results of a session with a number of threads of the case, or of the setting."""
    environment = {"host": "h", "cpu": "c", "threads": recorded or str(threads)}
    return [
        {
            **to_row(
                make_result(
                    Case(threads=threads),
                    repeat=repeat,
                    energy_j=joules * (repeat + 1),
                    environment=environment,
                )
            ),
            "session": name,
        }
        for repeat in range(repeats)
    ]


def old(rows: list[Row]) -> list[Row]:
    """Return rows as older versions wrote them."""
    return [{**row, "threads": None} for row in rows]


def median(rows: list[Row], **options: Any) -> float:
    (ratio,) = compare_ratios(to_pairs(rows), "threads", **options).ratios
    assert ratio.energy is not None
    return ratio.energy.median


def test_repeats_of_two_sessions_are_paired_by_their_number() -> None:
    found = compare_ratios(to_pairs([*session(1, 10.0, "a"), *session(2, 30.0, "b")]), "threads")
    (ratio,) = found.ratios
    assert (ratio.baseline, ratio.variant, ratio.pairs) == ("1", "2", 5)
    assert ratio.energy is not None
    assert (ratio.energy.mean, ratio.energy.low, ratio.energy.high) == pytest.approx((3.0,) * 3)
    assert found.sentence.startswith("threads=2 takes 3 [3, 3] times the energy of threads=1 in ")


def test_threads_of_the_setting_and_of_the_case_are_alike() -> None:
    assert median([*session(None, 10.0, "a", recorded="1"), *session(4, 5.0, "b")]) == 0.5


def test_latest_session_of_each_number_counts() -> None:
    rows = [*session(1, 1.0, "a"), *session(2, 2.0, "b"), *session(1, 10.0, "c")]
    assert median(rows) == pytest.approx(0.2)


def test_numbers_are_in_the_order_of_numbers() -> None:
    rows = [row for n in (16, 4, 2) for row in session(n, float(n), f"s{n}")]
    found = compare_ratios(to_pairs(rows), "threads")
    assert found.baseline == "2"
    assert [ratio.variant for ratio in found.ratios] == ["4", "16"]


def test_what_else_the_setting_says_still_tells_groups_apart() -> None:
    rows = [make_row(threads=n, epochs=e, changed={"repeat": 0}) for n in (1, 2) for e in (3, 4)]
    for row in rows:
        row["threads"] = row["setting"][-1]
    found = compare_ratios(to_pairs(rows), "threads")
    assert len(found.ratios) == 2
    assert all("threads" not in ratio.group for ratio in found.ratios)


def test_older_results_had_one_thread() -> None:
    assert median([*old(session(None, 10.0, "a", recorded="1")), *session(2, 20.0, "b")]) == 2.0


# What is not about threads


def sizes(threads: str | None, network: str) -> Row:
    return make_row(network, changed={"threads": threads})


def test_energies_of_other_threads_are_not_put_side_by_side() -> None:
    with pytest.raises(NotComparableError, match=r"differ in threads \(1, 2\).*--where threads=1"):
        compare_returns([sizes("1", "simple_cnn.s"), sizes("2", "simple_cnn.m")])


def test_older_results_are_comparable_with_those_of_one_thread_alone() -> None:
    assert compare_returns([sizes(None, "simple_cnn.s"), sizes("1", "simple_cnn.m")])
    with pytest.raises(NotComparableError, match=r"differ in threads \(1, 2\)"):
        compare_returns([sizes(None, "simple_cnn.s"), sizes("2", "simple_cnn.m")])


def test_ratios_of_backends_need_equal_threads() -> None:
    rows = [
        make_row(backend=b, changed={"threads": n}) for b, n in (("torch", "1"), ("keras", "2"))
    ]
    with pytest.raises(NotComparableError, match="differ in threads"):
        compare_ratios(rows, "backend")


def test_threads_can_be_a_factor() -> None:
    rows = [*session(1, 10.0, "a"), *session(2, 30.0, "b")]
    found = compare_factors(rows, ["threads"], "energy_wh")
    assert [cell.levels for cell in found.cells] == [("1",), ("2",)]
    with pytest.raises(NotComparableError, match="threads"):
        compare_factors(rows, ["case_id"], "energy_wh")


# The command


def test_two_files_are_compared_by_their_threads(tmp_path: Path) -> None:
    files = []
    for threads, joules in ((1, 10.0), (2, 15.0)):
        repeats = session(threads, joules, f"s{threads}")
        file = tmp_path / f"{threads}.json"
        entry = {"extra_info": {"repeats": repeats, "trials": []}}
        file.write_text(json.dumps({"benchmarks": [entry]}))
        files.append(str(file))
    done = CliRunner().invoke(cli, ["compare", "threads", "--json", *files])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["question"] == "threads"
    (ratio,) = found["answers"][0]["ratios"]
    assert ratio["energy"]["median"] == 1.5
