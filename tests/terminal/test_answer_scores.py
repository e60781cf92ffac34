"""Answers in a terminal on scores of any unit and direction."""

import io

import pytest

from greenbench.compare.placings import summarise
from greenbench.compare.ratios import compare_ratios
from greenbench.compare.returns import compare_returns
from greenbench.compare.strategies import OWN_GROUP, compare_strategies
from greenbench.results.scores import columns_of
from greenbench.tasks import ACCURACY, Score
from greenbench.terminal import print_ratios, print_returns, print_strategies, provenance_lines
from greenbench.terminal.console import new_console
from tests.builders import make_row

BITS = Score("bits_per_token", "bits", higher_is_better=False, low=0.0)
R2 = Score("r2", high=1.0)


def row_of(score: Score, found: float, network: str = "dense.s", **changed: object) -> dict:  # type: ignore[type-arg]
    told = {**columns_of(score), "test_score": found, "val_score": found, "trial": 0}
    told |= {"repeat": 0}
    return make_row(network, energy_wh=1.0, changed={**told, "test_accuracy": None, **changed})


@pytest.mark.parametrize(
    ("score", "heading", "gain"),
    [
        (BITS, "test bits per token ↓", "gain, bits/Wh"),
        (R2, "test R²", "gain, R²/Wh"),
        (ACCURACY, "test accuracy", "points/Wh"),
    ],
)
def test_returns_show_a_score_by_name_unit_and_way(score: Score, heading: str, gain: str) -> None:
    rows = [
        row_of(score, found, f"dense.{size}", energy_wh=energy_wh, repeat=repeat)
        for size, energy_wh, found in (("s", 1.0, 0.4), ("m", 2.0, 0.62))
        for repeat in range(3)
    ]
    stream = io.StringIO()
    print_returns(compare_returns(rows), new_console(stream))
    assert heading in stream.getvalue()
    assert gain in stream.getvalue()
    assert ("62.0%" in stream.getvalue()) is (score is ACCURACY)


@pytest.mark.parametrize("score", [BITS, R2])
def test_searches_show_scores_that_are_no_shares_without_per_cent(score: Score) -> None:
    trials = [
        row_of(score, found, strategy=strategy, repeat=repeat, trial=trial)
        for strategy in ("random", "sobol")
        for repeat in range(2)
        for trial, found in enumerate((0.65, 0.62))
    ]
    found = compare_strategies(trials, group=OWN_GROUP)
    stream = io.StringIO()
    print_strategies(found, summarise(found), new_console(stream))
    shown = stream.getvalue()
    assert "6205" not in shown
    assert "62.0" not in shown
    way = "" if score.higher_is_better else " (lower is better)"
    assert f" by {'R²' if score is R2 else 'bits per token'}{way}" in shown


def test_ratios_of_several_scores_name_each_and_of_what_may_be_negative_the_difference() -> None:
    rows = [
        row_of(score, found, dataset=name, setting=name, optimizer=optimizer, case_hash=name)
        for score, name, figures in ((R2, "diabetes", (0.4, 0.5)), (BITS, "text", (4.0, 5.0)))
        for optimizer, found in zip(("adam", "sgd"), figures, strict=True)
    ]
    stream = io.StringIO()
    print_ratios([compare_ratios(rows, "optimizer")], new_console(stream))
    assert "+0.100 R²" in stream.getvalue()
    assert "1.25 bits per token" in stream.getvalue()


def test_one_of_data_notes_that_differ_in_figures_alone_is_said() -> None:

    notes = [f"targets standardised (mean {mean})" for mean in (151.5, 153.25, 152)]
    lines = provenance_lines([make_row(changed={"data_notes": note}) for note in notes])
    data = [line for line in lines if line.startswith("Data")]
    assert data == ["Data: targets standardised (mean 151.5); 2 more differ in figures alone."]
