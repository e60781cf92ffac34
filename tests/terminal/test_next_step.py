"""The last line of a command: one that works as it stands for what was just done."""

import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.errors import WorkerError
from greenbench.running import session
from greenbench.terminal.next_step import after_run
from tests.builders import make_row
from tests.reports.tables import family, searches, table_of

SIZES = "net,energy_wh,accuracy\ns,1.0,0.80\nm,2.0,0.90\n"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def last_line(monkeypatch: pytest.MonkeyPatch, stream: StringIO, *arguments: str) -> str:
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit):
        cli.main(list(arguments))
    return stream.getvalue().splitlines()[-1]


def of(results: Sequence[Any], **changed: Any) -> str:
    return after_run(table_of(results, **changed)[0], "my suite")


def test_a_family_asks_for_returns_strategies_for_each_other_and_one_case_for_a_report() -> None:
    one = searches("random")
    assert of(family(repeats=1)) == "greenbench compare returns --suite 'my suite'"
    assert of(searches("random", "bayesian", "grid")) == (
        "greenbench compare strategies --suite 'my suite'"
    )
    both = [*family(repeats=1), *family(backend="keras", seed=3, repeats=1)]
    assert of(both).startswith("greenbench compare returns ")
    alike = [each for each in both if each.case.size == "m"]
    assert of(alike) == "greenbench compare backends --suite 'my suite'"
    assert of(one) == "greenbench report --suite 'my suite'"


def test_searches_and_their_control_are_strategies_to_compare() -> None:
    rows = [
        make_row(changed={"strategy": name, "setting": setting})
        for name, setting in (("default", "digits"), ("random", "digits+trials8"))
    ]
    assert after_run(rows, "ci") == "greenbench compare strategies --suite ci"


def test_what_is_disturbed_throughout_is_compared_as_it_was_shown() -> None:
    further = " --include-disturbed"
    assert of(family(repeats=1), marks="disturbed").endswith(further)
    assert not of(family(repeats=1)).endswith(further)


def test_sizes_that_must_not_be_compared_are_not_proposed() -> None:
    rows = [make_row("dense.s"), make_row("dense.m", changed={"host": "elsewhere"})]
    assert after_run(rows, "ci") == "greenbench report --suite ci"
    failed = [make_row("dense.s"), make_row("dense.m", accuracy=None)]
    assert after_run(failed, "ci") == "greenbench report --suite ci"


class Cut:
    """Stands for a session that ends before it has a result."""

    error: BaseException = KeyboardInterrupt()
    has_undelivered = False
    idle_drift = None

    def __init__(self, *given: object, **_: object) -> None:
        self.cases: list[Case] = list(given[2])  # type: ignore[call-overload]

    def __enter__(self) -> "Cut":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def repeats(self) -> list[tuple[Case, int]]:
        return [(case, 0) for case in self.cases]

    def run_repeat(self, *_: object) -> None:
        raise self.error

    def finish(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyboardInterrupt(), "Next: greenbench run --case 'default-dense.*' -a dense.xs"),
        (
            WorkerError("it died"),
            "Next, with what is said above mended: "
            "greenbench run --case 'default-dense.*' -a dense.xs",
        ),
    ],
)
def test_a_run_that_was_cut_off_names_the_command_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, expected: str
) -> None:
    monkeypatch.setattr(session, "Session", Cut)
    monkeypatch.setattr(Cut, "error", error)
    given = ("run", "--fresh", "--case", "default-dense.*", "-a", "dense.xs")

    assert last_line(monkeypatch, Terminal(), *given) == expected


def test_a_pipe_ends_as_it_did_and_so_do_json_and_csv(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text(SIZES, encoding="utf-8")
    for stream, option in ((StringIO(), None), (Terminal(), "--json"), (Terminal(), "--csv")):
        given = ("compare", str(path), "--size-column", "net", "--group", "")
        last_line(monkeypatch, stream, *given, *filter(None, [option]))
        assert "Next" not in stream.getvalue()
    assert last_line(monkeypatch, Terminal(), "list") == "Next: greenbench run ci"
