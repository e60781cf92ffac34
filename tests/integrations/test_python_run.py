"""`greenbench.run` and its results in Python; what trains is in ``integration/``."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

import greenbench
from greenbench import registry
from greenbench.cases import Case
from greenbench.errors import ConfigurationError, GreenbenchError
from greenbench.integrations.results import Results
from tests.builders import make_result, make_trial

SEARCH = Case("random", size="xs", trials=2, repeats=2)


@pytest.fixture
def results() -> Results:
    winner = replace(make_trial(1, accuracy=0.8), hyperparameters={"learning_rate": 0.01})
    trials = [make_trial(0, accuracy=0.2), winner]
    return Results(make_result(SEARCH, trials=trials, repeat=repeat) for repeat in (0, 1))


def test_results_are_a_sequence_with_a_row_each(results: Results) -> None:
    assert [each.repeat for each in results] == [0, 1]
    assert len(results[1:]) == 1
    table = results.to_pandas()
    assert table["case_id"].tolist() == [SEARCH.id, SEARCH.id]
    assert table["incumbent_trial"].tolist() == ["1", "1"]
    assert results.trials_to_pandas()["learning_rate"].tolist() == [0.001, 0.01] * 2


def test_results_print_the_summary_and_show_a_table(results: Results) -> None:
    assert repr(results) == "<Results: 2 of 1 case>"
    assert "random found learning_rate 0.01 in trial 2 of 2 of repeat 1" in " ".join(
        str(results).split()
    )
    shown = results._repr_html_()
    assert shown.count("<table>") == 1
    assert f"<td>{SEARCH.id}</td>" in shown
    assert Results([])._repr_html_() == "&lt;Results: 0 of 0 cases&gt;"


@pytest.mark.parametrize(
    ("cases", "options", "said"),
    [
        ("digits", {}, "greenbench.run got 'digits'; expected greenbench.Case"),
        ([SEARCH, None], {}, "greenbench.run got None; expected greenbench.Case"),
        ([], {}, "no case selected"),
        (SEARCH, {"repeats": 0}, "repeats is 0; expected a whole number above 0"),
        (SEARCH, {"country": "NLD", "carbon_intensity": 1.0}, "contradict each other"),
        (replace(SEARCH, architecture="simple_cn"), {}, "did you mean simple_cnn"),
    ],
)
def test_what_cannot_run_is_an_error_of_ours(
    cases: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        greenbench.run(cases, **options)


def test_part_that_no_file_has_is_refused_in_one_line() -> None:
    # As a notebook's cell: a module without a file.
    scope: dict[str, Any] = {"__name__": "__main__", "greenbench": greenbench}
    source = "greenbench.register_architecture('of_a_cell')(lambda input_shape, classes: None)"
    exec(compile(source, "<cell>", "exec"), scope)
    try:
        with pytest.raises(GreenbenchError, match=r"notebook's cell.* write it into a file"):
            greenbench.run(Case(architecture="of_a_cell"))
    finally:
        registry.architectures.forget({"__main__"})


def test_importing_greenbench_imports_nothing_of_it() -> None:
    program = "import sys, greenbench; print('greenbench.running' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert found.stdout.strip() == b"False"
