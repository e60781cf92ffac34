"""Hosts in comparisons: answered apart, and ratios of several together where they agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
import pytest

from greenbench.compare.hosts import answer_each, names_of, select_host
from greenbench.compare.over_hosts import OverHosts, PerHost, compare_on_hosts, over_hosts
from greenbench.compare.paired_means import mean_ratio
from greenbench.compare.ratio import Ratio
from greenbench.compare.ratios import Ratios
from greenbench.compare.returns import compare_returns
from greenbench.errors import NotComparableError, UnknownNameError

Row = dict[str, Any]


def rows_of(host: str, ratios: Sequence[float], **changed: Any) -> list[Row]:
    """Return pairs on a host, whose energies have those ratios."""
    common = {"host": host, "duration_s": 10.0, "test_score": 0.9, "cpu": f"CPU of {host}"}
    return [
        {"backend": backend, "repeat": repeat, "energy_wh": energy_wh, **common, **changed}
        for repeat, ratio in enumerate(ratios)
        for backend, energy_wh in (("torch", 2.0 + repeat), ("keras", ratio * (2.0 + repeat)))
    ]


def compare(*tables: list[Row], **options: Any) -> PerHost:
    rows = [row for table in tables for row in table]
    return compare_on_hosts(rows, "backend", group=(), **options)


def together(*tables: list[Row]) -> OverHosts:
    found = compare(*tables).together
    assert found is not None
    return found


def test_one_host_is_answered_as_ever() -> None:
    found = compare(rows_of("a", [2.0, 2.1]))
    assert (len(found.each), found.together, found.each[0].host) == (1, None, None)


def test_hosts_that_agree_have_a_common_ratio_each_counted_once() -> None:
    found = together(rows_of("a", [2.0, 2.2, 1.8] * 4), rows_of("b", [2.1, 1.9]))
    (ratio,) = found.ratios
    assert ratio.energy is not None
    hosts = [np.log([2.0, 2.2, 1.8]).mean(), np.log([2.1, 1.9]).mean()]
    assert ratio.energy.mean == pytest.approx(exp(np.mean(hosts)))
    assert ratio.energy_apart is not None
    assert ratio.energy_apart > 0.05
    assert "not shown to differ" in found.sentence
    assert found.hosts == ("CPU of a (a)", "CPU of b (b)")


def test_hosts_that_differ_have_none_and_the_answer_says_so() -> None:
    found = together(rows_of("a", [2.0, 2.1, 1.9]), rows_of("b", [1.0, 1.05, 0.95]))
    (ratio,) = found.ratios
    assert ratio.energy is None
    assert ratio.energy_apart is not None
    assert ratio.energy_apart < 0.05
    assert "no common ratio of energies (hosts differ" in found.sentence
    (record,) = found.records()
    assert (record["host"], record["energy_ratio"], record["reason"]) == (
        "all hosts", None, "hosts differ",
    )  # fmt: skip


def test_equal_ratios_without_any_noise_agree_and_others_do_not() -> None:
    same = together(rows_of("a", [2.0, 2.0]), rows_of("b", [2.0, 2.0]))
    assert same.ratios[0].energy is not None
    assert same.ratios[0].energy.mean == pytest.approx(2.0)
    other = together(rows_of("a", [2.0, 2.0]), rows_of("b", [3.0, 3.0]))
    assert other.ratios[0].energy is None


def test_one_pair_a_host_says_nothing_of_hosts() -> None:
    (ratio,) = together(rows_of("a", [2.0]), rows_of("b", [2.0])).ratios
    assert (ratio.energy, ratio.reason) == (None, "fewer than two hosts have two pairs")


def test_energies_that_came_about_differently_have_ratios_on_each_host_alone() -> None:
    measured = rows_of("a", [2.0, 2.1], energy_provenance="counter", energy_scope="cpu")
    modelled = rows_of("b", [2.0, 2.1], energy_provenance="model", energy_scope="cpu")
    found = compare(measured, modelled)
    assert [each.ratios[0].energy is not None for each in found.each] == [True, True]
    assert found.together is not None
    (ratio,) = found.together.ratios
    assert ratio.energy is None
    assert ratio.reason == "energies came about differently on hosts: counter cpu, model cpu"


def test_host_without_the_baseline_has_no_answer_and_a_note() -> None:
    alone = [{**row, "backend": "jax"} for row in rows_of("c", [1.0, 1.1]) if row["repeat"]]
    found = compare(rows_of("a", [2.0, 2.1]), rows_of("b", [2.0, 2.2]), alone)
    assert len(found.each) == 2
    (note,) = found.notes
    assert note.startswith("no answer on CPU of c (c): ")


def test_what_all_hosts_are_refused_is_refused() -> None:
    with pytest.raises(NotComparableError, match="nothing was run both with"):
        compare_on_hosts(
            [
                {**row, "architecture": row["backend"]}
                for row in [*rows_of("a", [1.0, 1.0]), *rows_of("b", [1.0, 1.0])]
            ],
            "backend",
            group=("architecture",),
        )


def ratios_on(host: str, ratios: Sequence[float]) -> Ratios:
    energy = mean_ratio(ratios)
    one = Ratio("", "keras", "torch", len(ratios), energy, None, None)
    return Ratios("backend", "torch", None, (one,), (), (), host=host)


def test_interval_over_hosts_holds_the_common_ratio_and_hosts_that_agree_seldom_differ() -> None:
    """Per cent of experiments: unequal noise, few pairs, as in the documentation."""
    draw = np.random.default_rng(20)
    held, differed, runs = 0, 0, 400
    for _ in range(runs):
        hosts = [
            ratios_on(host, np.exp(draw.normal(0.3, noise, pairs)).tolist())
            for host, noise, pairs in (("a", 0.05, 6), ("b", 0.2, 4), ("c", 0.1, 8))
        ]
        (ratio,) = over_hosts(hosts).ratios
        differed += ratio.energy is None
        if ratio.energy is not None:
            assert ratio.energy.low is not None
            assert ratio.energy.high is not None
            held += ratio.energy.low <= exp(0.3) <= ratio.energy.high
    # Three standard errors of 400 experiments around 95% and 5%.
    assert 0.917 < held / (runs - differed) < 0.983
    assert 0.017 < differed / runs < 0.083


def test_host_is_selected_by_how_its_fingerprint_begins() -> None:
    rows = [*rows_of("abc1", [1.0]), *rows_of("abd2", [1.0])]
    assert {row["host"] for row in select_host(rows, "abc")} == {"abc1"}
    assert select_host(rows, None) == rows
    with pytest.raises(NotComparableError, match=r"--host ab: 2 hosts begin so \(abc1, abd2\)"):
        select_host(rows, "ab")
    with pytest.raises(UnknownNameError, match="abc1, abd2"):
        select_host(rows, "x")


def test_hosts_are_named_by_what_trains_there() -> None:
    gpu = rows_of("b", [1.0], device="NVIDIA H200")
    cpu = rows_of("c", [1.0], device="cpu")
    bare = [{"host": "d"}, {}]
    assert names_of([*gpu, *cpu, *bare]) == {
        "b": "NVIDIA H200 (b)",
        "c": "CPU of c (c)",
        "d": "d",
        "unknown host": "unknown host",
    }


def test_host_that_only_trials_name_is_called_by_what_they_tell() -> None:
    @dataclass(frozen=True)
    class Answer:
        host: str | None = None

    found = answer_each([{"host": "a"}, {"trial": 0}], lambda _: [Answer()], {"a": "CPU (a)"})
    assert [answer.host for answer in found.answers] == ["CPU (a)", "unknown host"]


def test_comparers_without_hosts_are_asked_once() -> None:
    asked: list[int] = []

    def ask(rows: list[Row]) -> list[Any]:
        asked.append(len(rows))
        return compare_returns([])

    assert answer_each([{"a": 1}, {"a": 2}], ask).answers == ()
    assert asked == [2]
