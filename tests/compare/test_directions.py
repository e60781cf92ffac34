"""Negating a score and its direction changes no answer: of all comparers, whatever the figures."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench.compare.factors import compare_factors
from greenbench.compare.ratios import compare_ratios
from greenbench.compare.returns import compare_returns
from greenbench.compare.strategies import OWN_GROUP, compare_strategies
from greenbench.results.scores import columns_of
from greenbench.tasks import Score
from tests.builders import make_row

Row = dict[str, Any]

LOSS = Score("loss", higher_is_better=False)
GAIN = Score("gain")
SIZES = ("xs", "s", "m", "l")
# Exact in binary, and coarse, so that ties come up.
figures = st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=24, max_size=24)


def results(found: Sequence[float], score: Score, sign: float) -> list[Row]:
    """Return 3 repeats of 4 sizes on 2 backends."""
    values = iter(found)
    return [
        make_row(
            f"dense.{size}",
            energy_wh=energy_wh * 2.0**power,
            backend=backend,
            changed={
                **columns_of(score),
                "test_score": sign * next(values),
                "repeat": repeat,
                "val_score": None,
            },
        )
        for backend, energy_wh in (("torch", 1.0), ("keras", 1.5))
        for power, size in enumerate(SIZES)
        for repeat in range(3)
    ]


def trials(found: Sequence[float], score: Score, sign: float) -> list[Row]:
    """Return 3 searches of 2 strategies and of the control."""
    values = iter(found)
    return [
        {
            **dict.fromkeys(OWN_GROUP, "x"),
            **columns_of(score),
            "strategy": strategy,
            "repeat": repeat,
            "trial": trial,
            "energy_wh": 1.0 + trial,
            "val_score": sign * next(values),
        }
        for strategy, number in (("default", 1), ("grid", 3), ("random", 4))
        for repeat in range(3)
        for trial in range(number)
    ]


def returns_in(found: Sequence[float], score: Score, sign: float) -> Any:
    rows = [row for row in results(found, score, sign) if row["backend"] == "torch"]
    return [
        {
            "sizes": [
                (size.network, sign * size.score.median, size.gain_per_wh, size.is_on_front, size.p)
                for size in answer.sizes
            ],
            "answer": (answer.decision, answer.knee, answer.choice.network, answer.best.network),
            "saved": answer.saved,
            "fit": answer.saturation.a and sign * answer.saturation.a.value,
        }
        for answer in compare_returns(rows, tolerance=0.125)
    ]


def ratios_in(found: Sequence[float], score: Score, sign: float) -> Any:
    return [
        (ratio.variant, ratio.energy, ratio.pairs, sign * ratio.score_difference.median)
        for ratio in compare_ratios(results(found, score, sign), "backend").ratios
        if ratio.score_difference
    ]


def strategies_in(found: Sequence[float], score: Score, sign: float) -> Any:
    (answer,) = compare_strategies(trials(found, score, sign), group=OWN_GROUP, tolerance=0.125)
    assert answer.control is not None
    assert answer.equal_energy is not None
    assert answer.target is not None
    control = answer.control
    return {
        "target": sign * answer.target,
        "standings": [
            (
                one.strategy,
                sign * one.final_score.median,
                sign * one.best_score,
                one.energy_to_target_wh,
                one.energy_to_target_above_wh,
                one.hit_rate,
                None if one.area is None else sign * one.area,
                one.wasted_share,
            )
            for one in answer.strategies
        ],
        "horizons": [
            (each.limit, each.pairs, [(f.strategy, f.win_rate, sign * f.best) for f in each.found])
            for each in (answer.equal_trials, answer.equal_energy)
        ],
        "control": (control.best, control.is_beaten, control.is_proven, sign * control.best_score),
    }


def factors_in(found: Sequence[float], score: Score, sign: float) -> Any:
    rows = results(found, score, sign)
    answer = compare_factors(rows, ["size", "backend"], "test_score")
    return [
        (effect.name, effect.f, effect.p, effect.eta_sq)
        for effect in (*answer.effects, answer.residual)
    ]


@pytest.mark.parametrize("answer_of", [returns_in, ratios_in, strategies_in, factors_in])
@settings(max_examples=6, deadline=None)
@given(found=figures)
def test_score_and_its_negative_give_one_answer(
    answer_of: Callable[[Sequence[float], Score, float], Any], found: Sequence[float]
) -> None:
    assert answer_of(found, LOSS, 1.0) == answer_of(found, GAIN, -1.0)


@pytest.mark.parametrize(("score", "sign"), [(LOSS, 1.0), (GAIN, -1.0)])
def test_search_is_proven_to_beat_the_control_whichever_way_its_score_points(
    score: Score, sign: float
) -> None:
    rows = [
        {
            **dict.fromkeys(OWN_GROUP, "x"),
            **columns_of(score),
            "strategy": strategy,
            "repeat": repeat,
            "energy_wh": 1.0,
            "val_score": sign * (found + 0.01 * repeat),
        }
        for strategy, found in (("default", 3.0), ("random", 2.0))
        for repeat in range(6)
    ]
    (answer,) = compare_strategies(rows, group=OWN_GROUP)
    assert answer.control is not None
    assert answer.control.is_proven
    assert answer.control.at_their_ends[0].larger == "random"
