"""What the gate says in a terminal."""

from io import StringIO

import pytest
from rich.console import Console

from greenbench.gate.judgement import Judgements, Verdict
from greenbench.gate.wording import sentence
from greenbench.terminal import print_judgements
from tests.judgements import make_judgement, make_judgements

FAIL, WARN, PASS, DOUBT = Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.INCONCLUSIVE


def shown(found: Judgements, width: int = 160) -> list[str]:
    text = StringIO()
    print_judgements(found, Console(file=text, width=width, highlight=False))
    return [line.strip() for line in text.getvalue().splitlines()]


def test_table_says_what_is_judged_in_words_the_worst_first() -> None:
    lines = shown(make_judgements(PASS, DOUBT, WARN, FAIL))

    rows = [line.split() for line in lines if line.startswith("case-")]
    assert [row[0] for row in rows] == ["case-3", "case-2", "case-1", "case-0"]
    assert " ".join(rows[0]) == ("case-3 energy_wh 14.2 mWh +11.8% to +36.2% ≤ +10% FAIL 5, 5")
    assert [row[-3] for row in rows] == ["FAIL", "warn", "inconclusive", "pass"]


@pytest.mark.parametrize("width", [80, 160])
def test_each_violation_and_doubt_has_its_sentence_in_one_line(width: int) -> None:
    found = make_judgements(FAIL, WARN, DOUBT, PASS)

    lines = shown(found, width)

    for word, each in zip(("FAIL", "warn", "inconclusive"), found.all, strict=False):
        assert f"{word} {sentence(each)}" in lines
    assert sentence(found.all[-1]) not in "\n".join(lines)


def test_last_line_is_the_verdict_with_counts_and_baseline() -> None:
    lines = shown(make_judgements(FAIL, WARN, WARN, PASS, notes=("no case of x",)))

    assert lines[-2:] == [
        "Note: no case of x",
        "gate: FAIL: 1 violated, 2 warnings, 1 passed; baseline: benchmarks/baselines/ci.json",
    ]


def test_nothing_judged_is_said_without_a_table() -> None:
    assert shown(Judgements((), None)) == ["gate: inconclusive: nothing was judged; no baseline"]


def test_at_eighty_columns_no_figure_is_cut_and_no_table_line_wraps() -> None:
    found = make_judgement(case_id="bayesian-simple_cnn.m-keras.tensorflow-digits+trials10")
    lines = shown(Judgements((found,), None), width=80)

    table = lines[: next(n for n, line in enumerate(lines) if line.startswith("FAIL "))]
    assert max(map(len, table)) <= 80
    assert table[0] == f"{found.case_id}   energy_wh"
    text = "\n".join(table)
    for figure in ("14.2 mWh", "+11.8% to +36.2%", "≤ +10%", "FAIL", "5, 5"):
        assert figure in text


def test_many_passes_are_counted_instead_of_shown() -> None:
    lines = shown(make_judgements(FAIL, *[PASS] * 50))

    assert sum(line.startswith("case-") for line in lines) == 11
    assert "and, not shown, 40 passed" in lines


def test_names_are_no_markup_and_obeyed_by_nobody() -> None:
    found = make_judgement(case_id="[red]x[/red]\x1b[31m\n::error::y")

    lines = shown(Judgements((found,), None))
    text = "\n".join(lines)

    assert [
        line for line in lines if line.startswith(r"[red]x[/red]\x1b[31m\n::error::y  energy_wh")
    ]
    assert "\x1b" not in text


def test_without_a_terminal_there_is_room_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    print_judgements(make_judgements(FAIL))

    assert "case-0  energy_wh  14.2 mWh  +11.8% to +36.2%  ≤ +10%  FAIL" in " ".join(
        capsys.readouterr().out.splitlines()
    )
