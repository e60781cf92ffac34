"""Which options of a backend take least: what is tried, what decides, and what is said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from greenbench.backends.torch_compute import choices
from greenbench.cases import Case, Scalar
from greenbench.cli import cli
from greenbench.doctor.compute_options import (
    NETWORK,
    ROUNDS,
    ComputeOptions,
    judge_options,
    spelled,
    to_cases,
)
from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.results import CaseResult, Epoch
from greenbench.results.account import Account
from greenbench.results.readings import Provenance
from tests.builders import make_reading, make_result, make_trial

NONE: Mapping[str, Scalar] = {}
BFLOAT16: Mapping[str, Scalar] = {"precision": "bfloat16"}
BOTH: Mapping[str, Scalar] = {"channels_last": True, "precision": "bfloat16"}
EQUAL = (0.5,) * ROUNDS


def result(
    case: Case,
    repeat: int,
    cpu_s: float | None,
    loss: float | None,
    *,
    energy_j: float = 36.0,
    provenance: Provenance = Provenance.MODEL,
    other_cpu_s: float = 0.0,
) -> CaseResult:
    reading = replace(
        make_reading(energy_j, provenance=provenance), cpu_s=cpu_s, other_cpu_s=other_cpu_s
    )
    trial = replace(make_trial(), epochs=(Epoch(0, 2.0), Epoch(1, loss, 0.9)))
    return make_result(case, repeat=repeat, account=Account({"train": reading}), trials=(trial,))


def judged(
    *tries: tuple[Mapping[str, Scalar], Sequence[float], Sequence[float | None]],
) -> ComputeOptions:
    """Judge choices, each with what decides and the loss of each round."""
    cases = to_cases(NETWORK, [options for options, *_ in tries])
    return judge_options(
        cases,
        [
            result(case, repeat, cpu_s, loss)
            for case, (_, costs, losses) in zip(cases, tries, strict=True)
            for repeat, (cpu_s, loss) in enumerate(zip(costs, losses, strict=True))
        ],
    )


def test_what_takes_least_at_equal_loss_is_best_and_spelled_for_copying() -> None:
    found = judged((NONE, [2.0] * 5, EQUAL), (BFLOAT16, [1.5] * 5, EQUAL), (BOTH, [1.0] * 5, EQUAL))
    assert found.best == "--compute channels_last=true --compute precision=bfloat16"
    assert found.sentence.endswith(
        "--compute channels_last=true --compute precision=bfloat16 takes 0.5 [0.5, 0.5] times the "
        "CPU time of the defaults at equal loss, more than the spread."
    )
    assert found.advice == found.best
    assert found.notes == ["Energy is not measured here, so CPU time decides."]


def test_what_learns_worse_is_left_out_and_named() -> None:
    worse = [loss * 1.05 for loss in EQUAL]
    found = judged((NONE, [2.0] * 5, EQUAL), (BFLOAT16, [1.0] * 5, worse))
    assert found.best == ""
    assert found.sentence.endswith("nothing takes less CPU time at equal loss than the defaults.")
    assert "above the baseline's: --compute precision=bfloat16." in found.notes[-1]


def test_what_diverges_is_left_out() -> None:
    found = judged((NONE, [2.0] * 5, EQUAL), (BFLOAT16, [1.0] * 5, [None] * 5))
    assert (found.best, found.figures[1].loss_ratio) == ("", None)


def test_rounds_are_compared_with_each_other() -> None:
    slower, losses = [1.0, 2.0, 3.0, 4.0, 5.0], [0.1, 0.2, 0.3, 0.4, 0.5]
    found = judged(
        (NONE, slower, losses),
        (BFLOAT16, [0.9 * each for each in slower], [1.01 * each for each in losses]),
    )
    assert found.figures[1].ratio.median == pytest.approx(0.9)
    assert found.figures[1].has_equal_loss
    assert found.sentence.endswith("more than the spread.")


def test_difference_within_the_spread_is_not_shown() -> None:
    found = judged((NONE, [1.0] * 5, EQUAL), (BFLOAT16, [0.9, 1.2, 0.9, 1.2, 0.8], EQUAL))
    assert found.best == "--compute precision=bfloat16"
    assert "no difference is shown" in found.sentence
    assert found.advice == "leave --compute out"


def test_energy_decides_where_it_is_measured() -> None:
    cases = to_cases(NETWORK, [NONE, BFLOAT16])
    joules = {cases[0]: 50.0, cases[1]: 60.0}
    found = judge_options(
        cases,
        [
            result(
                case, repeat, 2.0 if case == cases[0] else 1.0, 0.5,
                energy_j=joules[case], provenance=Provenance.COUNTER, other_cpu_s=9.0,
            )
            for case in cases
            for repeat in range(5)
        ],
    )  # fmt: skip
    assert (found.decides, found.best) == ("energy", "")
    assert "during 10 of 10 windows" in found.notes[-1]


def test_unknown_cost_is_refused() -> None:
    (case,) = to_cases(NETWORK, [NONE])
    with pytest.raises(NotComparableError, match="neither energy nor CPU time is known"):
        judge_options([case], [result(case, 0, None, 0.5)])


def test_cases_differ_in_options_alone_and_have_equal_seeds() -> None:
    cases = to_cases(NETWORK, choices())
    assert len({case.backend_options for case in cases}) == len(cases) >= 4
    assert {case.derive_seed("order") for case in cases} == {cases[0].derive_seed("order")}
    assert {case.repeats for case in cases} == {ROUNDS}


def test_options_are_spelled_as_the_command_line_takes_them() -> None:
    assert spelled((("channels_last", True), ("precision", "tf32"))) == (
        "--compute channels_last=true --compute precision=tf32"
    )


def test_other_backends_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="backend is 'keras', which takes no --compute"):
        to_cases(replace(NETWORK, backend="keras"), [NONE])


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", *arguments])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--compute", "--threads"], "--threads and --compute are two questions; choose one"),
        (["--compute", "-b", "keras"], "backend is 'keras', which takes no --compute options"),
        (["--compute", "-a", "no_such"], "unknown architecture 'no_such'"),
        (["--compute", "--batch-size", "0"], "batch_size is 0"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str) -> None:
    done = doctor(*arguments)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert words in done.stderr
