"""A run that goes on until it knows, with real workers: killed, gone on with, and compared."""

from collections.abc import Callable
from pathlib import Path

import pytest

from greenbench.results.journal import Journal
from greenbench.tracking import Store
from tests.conftest import Greenbench

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("made_store")]

RUN = ("run", "-a", "dense.xs", "-a", "dense.m", "--epochs", "2", "--until-decided")
DECIDED = "dense.m is proven"


def finished(greenbench: Greenbench) -> list[Path]:
    return [path for path in greenbench.journals if Journal(path).read().result]


def test_killed_run_goes_on_to_its_answer_and_comparing_says_the_same(
    greenbench: Greenbench, eventually: Callable[[Callable[[], object]], None]
) -> None:
    killed = greenbench.start(*RUN, start_new_session=True)
    eventually(lambda: len(finished(greenbench)) > 1)
    killed.kill()
    killed.wait()
    before = {path: path.read_text() for path in finished(greenbench)}

    done = greenbench(*RUN, "--include-disturbed")

    assert done.returncode == 0, done.stderr
    assert DECIDED in done.stdout
    assert "This took " in done.stdout
    assert all(path.read_text().startswith(text) for path, text in before.items())
    rows = Store(f"sqlite:///{greenbench.folder}/mlruns/mlflow.db").read_rows()
    assert {row["design"] for row in rows} == {"until-decided"}
    assert max(row["alpha_spent"] for row in rows) <= 0.05
    said = greenbench.here("compare", "returns", "--include-disturbed").stdout
    assert "dense.m reaches" in said
    assert "Within 1 point of the best at 95% confidence" in said


def test_limit_ends_it_and_a_higher_one_goes_on_from_there(greenbench: Greenbench) -> None:
    done = greenbench(*RUN, "--max-wh", "0.0000001")
    assert done.returncode == 0, done.stderr
    assert "not all is decided: --max-wh is 1e-07" in done.stdout
    there = len(finished(greenbench))
    again = greenbench(*RUN)
    assert f"{there} repeats are finished" in again.stderr
    assert DECIDED in again.stdout
