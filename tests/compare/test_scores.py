"""Comparers on scores of any unit and direction; that they are right of accuracies, others show."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from greenbench.cli import cli
from greenbench.compare.answers import to_json, to_records
from greenbench.compare.parts import to_pairs
from greenbench.compare.ratios import compare_ratios
from greenbench.compare.returns import Returns, compare_returns
from greenbench.compare.strategies import OWN_GROUP, compare_strategies
from greenbench.compare.tolerance import Tolerance
from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.results.expected import missed
from greenbench.results.scores import columns_of
from greenbench.tasks import ACCURACY, Score
from tests.builders import make_row

BITS = Score("bits_per_token", "bits", higher_is_better=False, low=0.0)
R2 = Score("r2", high=1.0)


def row_of(score: Score, network: str, energy_wh: float, found: float, **changed: Any) -> Any:
    told = {**columns_of(score), "test_score": found, "test_accuracy": None}
    return make_row(network, energy_wh=energy_wh, changed={**told, **changed})


def returns_of(score: Score, *points: tuple[float, float], tolerance: Any = None) -> Returns:
    rows = [
        row_of(score, f"dense.{size}", energy_wh, found + noise, repeat=repeat)
        for size, (energy_wh, found) in zip(("s", "m", "l"), points, strict=False)
        for repeat, noise in enumerate((0.0, 1e-4, -1e-4))
    ]
    (answer,) = compare_returns(rows, tolerance=tolerance)
    return answer


def test_of_bits_the_least_is_the_best_and_the_sentence_says_so() -> None:
    found = returns_of(BITS, (1.0, 3.0), (2.0, 2.2), (4.0, 2.1))
    assert found.best.network == "dense.l"
    assert [size.gain_per_wh for size in found.sizes][1:] == [
        pytest.approx(0.8),
        pytest.approx(0.05),
    ]
    assert all(size.is_on_front for size in found.sizes)
    assert found.sentence == (
        "dense.l reaches 2.10 bits per token for 4 Wh, the best of its family; no smaller size "
        "comes within 1%. Of bits per token, lower is better."
    )


def test_a_worse_score_for_more_energy_is_dominated_whichever_way_it_points() -> None:
    found = returns_of(BITS, (1.0, 2.0), (2.0, 2.5))
    assert [size.is_on_front for size in found.sizes] == [True, False]
    assert found.choice.network == "dense.s"


@pytest.mark.parametrize(
    ("tolerance", "choice"),
    [(0.2, "dense.m"), (Tolerance(0.05, is_relative=True), "dense.m"), (0.05, "dense.l")],
)
def test_tolerance_is_in_the_unit_of_the_score_or_relative(tolerance: Any, choice: str) -> None:
    found = returns_of(BITS, (1.0, 3.0), (2.0, 2.2), (4.0, 2.1), tolerance=tolerance)
    assert found.decision.descriptive == choice


def test_a_score_below_zero_is_a_figure_like_any_other() -> None:
    found = returns_of(R2, (1.0, -0.5), (2.0, 0.41))
    assert found.sentence.startswith("dense.m reaches R² 0.410 for 2 Wh, the best of its family")
    assert found.score_name == "test R²"


def test_loss_saturates_from_above() -> None:
    rows = [
        row_of(BITS, f"dense.{size}", energy_wh, 1.5 + energy_wh**-0.5 + noise, repeat=repeat)
        for size, energy_wh in (("xs", 1.0), ("s", 2.0), ("m", 4.0), ("l", 8.0), ("xl", 16.0))
        for repeat, noise in enumerate((0.0, 1e-4, -1e-4, 2e-4, -2e-4))
    ]
    (found,) = compare_returns(rows)
    assert found.saturation.a is not None
    assert found.saturation.a.value == pytest.approx(1.5, abs=0.01)
    assert found.saturation.a.low <= found.saturation.a.high
    assert found.saturation.predict(4.0) == pytest.approx(2.0, abs=0.01)


def trial(strategy: str, repeat: int, number: int, found: float | None, score: Score) -> Any:
    return {
        **dict.fromkeys(OWN_GROUP, "x"),
        **columns_of(score),
        "strategy": strategy,
        "repeat": repeat,
        "trial": number,
        "energy_wh": 1.0,
        "val_score": found,
    }


def strategies_of(score: Score, sign: float, shift: float) -> Any:
    figures = {"grid": (5.0, 4.0, 3.0), "random": (4.0, 2.0, 2.5)}
    rows = [
        trial(name, repeat, number, sign * (found + 0.01 * repeat) + shift, score)
        for name, values in figures.items()
        for repeat in range(3)
        for number, found in enumerate(values)
    ]
    (answer,) = compare_strategies(rows, group=OWN_GROUP, tolerance=0.05)
    return answer


def test_strategies_are_ranked_alike_by_a_loss_and_by_its_negative() -> None:
    loss, gain = strategies_of(BITS, 1.0, 0.0), strategies_of(R2, -1.0, 0.0)
    assert loss.equal_trials.best == gain.equal_trials.best == ("random",)
    assert [s.hit_rate for s in loss.strategies] == [s.hit_rate for s in gain.strategies]
    assert [s.area for s in loss.strategies] == [-(s.area or 0.0) for s in gain.strategies]
    assert loss.target == pytest.approx(2.05)
    assert loss.equal_trials.ranking == (
        "random finds 2.01 bits per token, grid 3.01 bits per token"
    )
    assert loss.sentence.endswith("Of bits per token, lower is better.")


def test_search_that_finds_nothing_loses_and_has_no_figure() -> None:
    rows = [trial("grid", r, n, None, BITS) for r in range(3) for n in range(2)]
    rows += [trial("random", r, n, 2.0 + n, BITS) for r in range(3) for n in range(2)]
    (found,) = compare_strategies(rows, group=OWN_GROUP)
    assert found.equal_trials.ranking == "random finds 2.00 bits per token, grid nothing"
    assert found.equal_trials.found[0].win_rate == 1.0


def test_figures_of_different_scores_are_refused_side_by_side() -> None:
    rows = [row_of(BITS, "dense.s", 1.0, 2.0), row_of(R2, "dense.m", 2.0, 0.5)]
    with pytest.raises(NotComparableError, match=r"differ in score \(bits_per_token, r2\)"):
        compare_returns(rows)


def test_of_a_score_that_may_be_negative_there_is_a_difference_and_no_ratio() -> None:
    rows = [
        row_of(R2, "dense.s", energy_wh, found, backend=backend, repeat=repeat)
        for backend, energy_wh, found in (("torch", 1.0, 0.4), ("keras", 2.0, 0.38))
        for repeat in range(3)
    ]
    (ratio,) = compare_ratios(rows, "backend").ratios
    assert ratio.score is None
    assert ratio.score_difference is not None
    assert ratio.score_difference.mean == pytest.approx(-0.02)
    assert compare_ratios(rows, "backend").sentence == (
        "keras takes 2 [2, 2] times the energy of torch in default, dense.s, digits "
        "(it differs, p < 0.0001), "
        "at -0.0200 [-0.0200, -0.0200] of R² (no difference is shown, p = 0.25)."
    )


def test_optimisers_are_paired_across_sessions_by_what_is_left_of_the_setting() -> None:
    rows = [
        make_row(
            "dense.s",
            energy_wh=energy_wh,
            changed={
                "optimizer": name,
                "setting": f"digits+epochs3{label}",
                "case_id": f"default-dense.s-torch-digits+epochs3{label}",
                "case_hash": name,
                "session": session,
                "repeat": repeat,
            },
        )
        for name, label, session, energy_wh in (
            ("adam", "", "first", 1.0),
            ("sgd.momentum0p9", "+sgd.momentum0p9", "second", 0.5),
        )
        for repeat in range(3)
    ]
    found = compare_ratios(to_pairs(rows, "optimizer"), "optimizer")
    assert found.baseline == "adam"
    (ratio,) = found.ratios
    assert (ratio.variant, ratio.pairs) == ("sgd.momentum0p9", 3)
    assert ratio.energy is not None
    assert ratio.energy.median == 0.5


def test_json_and_csv_have_older_names_where_the_score_is_accuracy() -> None:
    accurate = compare_returns([make_row("dense.s"), make_row("dense.m", energy_wh=2.0)])[0]
    of_bits = returns_of(BITS, (1.0, 3.0), (2.0, 2.2))
    size, other = (to_json(each)["sizes"][0] for each in (accurate, of_bits))
    assert size["accuracy"] == size["score"]
    assert size["points_per_wh"] == size["gain_per_wh"]
    assert "accuracy" not in other
    assert "points_per_wh" not in other
    assert to_json(of_bits)["judged_by"]["name"] == "bits_per_token"
    record = to_records(of_bits)[0]
    assert (record["score_name"], record["score_direction"]) == ("bits_per_token", "lower")
    assert "accuracy" not in record


@pytest.mark.parametrize(
    ("score", "value", "is_one"),
    [
        (R2, -3.0, True),
        (R2, 1.5, False),
        (BITS, 7.0, True),
        (BITS, -1.0, False),
        (ACCURACY, 7.0, False),
    ],
)
def test_a_score_is_expected_within_its_range(score: Score, value: float, *, is_one: bool) -> None:
    assert (missed("test_score", value, score) is None) == is_one


LOSSES = "size,seed,energy_wh,{}\ns,1,1,3.0\ns,2,1,3.1\nm,1,2,2.0\nm,2,2,2.1\n"


@pytest.mark.parametrize(
    ("column", "options", "name"),
    [
        ("test_loss", (), "test loss"),
        ("perplexity", (), "perplexity"),
        ("cost", ("--score-column", "cost", "--lower-is-better"), "cost"),
    ],
)
def test_losses_of_anybody_are_lower_where_names_or_options_say_so(
    tmp_path: Path, column: str, options: tuple[str, ...], name: str
) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(LOSSES.format(column))
    done = CliRunner().invoke(cli, ["compare", "returns", str(path), *options, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    (answer,) = said["answers"]
    assert answer["score_name"] == name
    assert answer["sentence"].startswith(f"m reaches {answer['judged_by']['name']} 2.05 for 2 Wh")
    assert f"of {column}, lower is better" in said["notes"][-1]


def test_a_score_of_no_usual_name_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(LOSSES.format("cost"))
    done = CliRunner().invoke(cli, ["compare", "returns", str(path)])
    assert done.exit_code == 2
    assert "--score-column" in done.output


def test_an_accuracy_is_never_lower_is_better(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("size,energy_wh,accuracy\ns,1,0.8\nm,2,0.9\n")
    done = CliRunner().invoke(cli, ["compare", "returns", str(path), "--lower-is-better"])
    assert done.exit_code == 2
    assert "of accuracies, higher is better" in done.output


def test_an_unusable_score_of_own_results_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected a number from 0 on"):
        compare_strategies(
            [trial("a", 0, 0, -1.0, BITS), trial("b", 0, 0, 1.0, BITS)], group=OWN_GROUP
        )
