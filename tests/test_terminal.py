from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from greenbench.cases import Case
from greenbench.compare.returns import compare_returns
from greenbench.progress import Progress, _TimeLeft, outcome
from greenbench.readings import Provenance
from greenbench.terminal import (
    new_console,
    print_returns,
    print_summary,
    provenance_lines,
    returns_table,
    summary_table,
)
from tests.builders import make_result, make_row, make_trial


def shown(table: Table) -> str:
    text = StringIO()
    Console(file=text, width=160, highlight=False).print(table)
    return text.getvalue()


def cells(text: str, containing: str) -> list[str]:
    """Return the cells of the one line of a table that contains a word."""
    (line,) = (line for line in text.splitlines() if containing in line)
    return [cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")]


def family(*energies_wh: float, accuracies: Sequence[float] = (0.85, 0.95, 0.96)) -> Any:
    rows = [
        make_row(f"dense.{size}", energy_wh=energy_wh, accuracy=accuracy)
        for size, energy_wh, accuracy in zip("sml", energies_wh, accuracies, strict=False)
    ]
    (found,) = compare_returns(rows)
    return found


def summary(rows: Sequence[dict[str, Any]]) -> str:
    text = StringIO()
    print_summary(rows, new_console(text))
    return text.getvalue()


def test_summary_shows_energy_emissions_accuracy_and_what_the_energy_is() -> None:
    table = shown(summary_table([make_row(energy_wh=2.0, accuracy=0.912)]))
    assert cells(table, "default-simple_cnn.m-torch-digits") == [
        "default-simple_cnn.m-torch-digits", "1", "2", "0.8", "91.2%", "1", "estimated",
    ]  # fmt: skip
    for heading in ("energy, Wh", "emissions, g CO2e", "test accuracy", "train GFLOP"):
        assert heading in table


def test_measured_energy_is_said_to_be_measured() -> None:
    row = make_row(changed={"energy_provenance": "counter"})
    assert "measured" in shown(summary_table([row]))


def test_repeats_become_a_median_with_its_interval() -> None:
    rows = [make_row(energy_wh=energy_wh) for energy_wh in (1.0, 2.0, 4.0)]
    _, n, energy, *_ = cells(shown(summary_table(rows)), "default-")
    assert (n, energy) == ("3", "2 [1, 4]")


@pytest.mark.parametrize(
    ("energy_wh", "unit", "gram", "energy", "emissions"),
    [(0.1, "Wh", "g", "0.1", "0.04"), (0.0999, "mWh", "mg", "99.9", "40")],
)
def test_small_energies_are_shown_in_milliwatt_hours(
    energy_wh: float, unit: str, gram: str, energy: str, emissions: str
) -> None:
    table = shown(summary_table([make_row(energy_wh=energy_wh)]))
    assert f"energy, {unit}" in table
    assert f"emissions, {gram} CO2e" in table
    assert cells(table, "default-")[2:4] == [energy, emissions]


def test_one_unit_serves_the_whole_column() -> None:
    rows = [make_row("dense.s", energy_wh=0.001), make_row("dense.m", energy_wh=5.0)]
    table = shown(summary_table(rows))
    assert cells(table, "dense.s")[2] == "0.001"
    assert cells(table, "dense.m")[2] == "5"


def test_unknown_energy_is_shown_as_none_and_not_as_zero() -> None:
    row = cells(shown(summary_table([make_row(energy_wh=None)])), "default-")
    assert row[2:4] == ["none", "none"]
    assert row[-1] == "none"


def test_failed_case_is_shown_without_accuracy() -> None:
    assert cells(shown(summary_table([make_row(accuracy=None)])), "default-")[4] == "none"


def test_returns_show_what_each_size_costs_and_buys() -> None:
    table = shown(returns_table(family(1.0, 3.0, 4.0, accuracies=[0.80, 0.90, 0.88])))
    assert "Diminishing returns: dense, default, torch, digits" in table
    assert cells(table, "dense.s") == ["dense.s", "1,234", "1", "1", "80.0%", "–", "●"]
    assert cells(table, "dense.m") == ["dense.m", "1,234", "1", "3", "90.0%", "+5", "●"]
    assert cells(table, "dense.l") == ["dense.l", "1,234", "1", "4", "88.0%", "-2", "dominated"]


def test_returns_of_small_energies_are_in_milliwatt_hours() -> None:
    table = shown(returns_table(family(0.001, 0.003, accuracies=[0.8, 0.9])))
    assert "energy, mWh" in table
    assert "points/mWh" in table
    assert cells(table, "dense.m")[3:6] == ["3", "90.0%", "+5"]


def test_returns_are_printed_with_their_sentence() -> None:
    text = StringIO()
    found = family(1.0, 3.0, 4.0)
    print_returns([found], new_console(text))
    assert found.sentence in text.getvalue()


@pytest.mark.parametrize("text", ["[red]", "[/red]", "[bold", "x[0]", "[link=http://a]b[/link]"])
def test_brackets_in_names_are_shown_as_they_are(text: str) -> None:
    changed = {"case_id": f"case {text}", "setting": text, "energy_source": text, "host": text}
    changed["emissions_source"] = text
    rows = [
        make_row(f"dense.{size}", changed={**changed, "case_id": f"{size} {text}"}) for size in "sm"
    ]
    printed = summary(rows)
    assert f"s {text}" in printed
    assert f"dense, default, torch, {text}" in printed
    assert f"(model) by {text}." in printed


def test_error_that_looks_like_markup_is_shown_as_it_is() -> None:
    text = StringIO()
    Progress([Case()], text).notice("Error: expected [/a] in [bold]")
    assert text.getvalue() == "Error: expected [/a] in [bold]\n"


def test_provenance_is_said_with_meter_and_emission_source() -> None:
    lines = provenance_lines([make_row()])
    assert lines[0].startswith("Energy is ESTIMATED (model) by fake meter.")
    assert any("ratios" in line for line in lines)
    assert lines[-1] == "Emissions at 400 g CO2e/kWh: given by the user."


def test_measured_figures_come_without_the_warning() -> None:
    lines = provenance_lines([make_row(changed={"energy_provenance": "counter"})])
    assert lines[0].startswith("Energy is MEASURED (counter)")
    assert not any("ratios" in line for line in lines)


def test_each_provenance_and_emission_source_is_said_once() -> None:
    other = {"energy_provenance": "counter", "emissions_source": "mine"}
    rows = [make_row(), make_row(changed=other), make_row()]
    starts = [line.split(" (")[0] for line in provenance_lines(rows)]
    assert starts.count("Energy is ESTIMATED") == starts.count("Energy is MEASURED") == 1
    assert len([line for line in starts if line.startswith("Emissions")]) == 2


def test_summary_has_table_answer_and_provenance() -> None:
    printed = summary([make_row("dense.s", energy_wh=0.5), make_row("dense.m", accuracy=0.95)])
    for part in ("emissions, g CO2e", "dense.m reaches 95.0%", "Energy is ESTIMATED", "400 g CO2e"):
        assert part in printed


def test_figures_that_cannot_be_compared_do_not_hide_the_table() -> None:
    rows = [make_row("dense.s"), make_row("dense.m", changed={"host": "elsewhere"})]
    printed = summary(rows)
    assert "test accuracy" in printed
    assert "No diminishing returns: dense" in printed


def test_summary_of_nothing_is_silent() -> None:
    assert summary([]) == ""


def test_log_shows_whole_case_ids() -> None:
    options = (("conv_layers", 4), ("linear_layers", 7), ("relu", False))
    row = make_row("simple_cnn", architecture_options=options, epochs=3, batch_size=512)
    assert row["case_id"] in summary([row])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"energy_j": 36.0}, "1 trial, test accuracy 90.0%, 10 mWh estimated"),
        ({"energy_j": None}, "1 trial, test accuracy 90.0%, energy unknown"),
        (
            {"trials": [make_trial(0), make_trial(1, accuracy=None)], "accuracy": 0.5},
            "2 trials (1 failed), test accuracy 50.0%, 20 mWh estimated",
        ),
        (
            {"accuracy": None, "energy_j": 3600.0, "provenance": Provenance.COUNTER},
            "1 trial (1 failed), test accuracy –, 1 Wh measured",
        ),
    ],
    ids=["plain", "without energy", "one failed", "all failed"],
)
def test_outcome_is_a_repeat_in_a_few_words(fields: dict[str, Any], expected: str) -> None:
    assert outcome(make_result(**fields)) == expected


def test_log_shows_case_repeat_trial_and_time_left() -> None:
    text = StringIO()
    case = Case(strategy="grid", trials=4, repeats=2)
    with Progress([case], text) as progress:
        progress.repeat_started(case, 0, done_trials=1)
        progress.event("trial_finished", {"index": 1})
        progress.repeat_finished(make_result(case))
        progress.repeat_started(case, 1, done_trials=0)
        progress.repeat_finished(None)
    first, *_, finished, failed = text.getvalue().splitlines()
    assert first == f"[1/2] {case.id} repeat 1/2 · trial 2/4 · unknown time left"
    assert finished.startswith(f"[1/2] {case.id} repeat 1/2: 1 trial, test accuracy 90.0%")
    assert finished.endswith("s left")
    assert failed == f"[2/2] {case.id} repeat 2/2: FAILED"


def test_log_has_no_terminal_codes_and_is_not_flooded() -> None:
    text = StringIO()
    case = Case(strategy="grid", trials=500, repeats=1)
    with Progress([case], text) as progress:
        progress.repeat_started(case, 0, done_trials=0)
        for index in range(500):
            progress.event("trial_finished", {"index": index})
    assert "\x1b" not in text.getvalue()
    assert len(text.getvalue().splitlines()) <= 2


class Clock:
    """Stands still until it is advanced."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_time_left_is_unknown_until_something_is_done() -> None:
    left = _TimeLeft([Case()], Clock())
    assert left.seconds() is None
    assert left.text() == "unknown time"


def test_time_left_follows_the_work_of_each_case() -> None:
    clock = Clock()
    short, long = Case(epochs=10, repeats=1), Case(epochs=30, repeats=2)
    left = _TimeLeft([short, long], clock)
    left.start(short)
    clock.now_s += 10
    left.finish()
    assert left.seconds() == pytest.approx(60)


def test_time_left_prefers_what_a_case_took_before() -> None:
    clock = Clock()
    short, long = Case(epochs=10, repeats=2), Case(epochs=30, repeats=1)
    left = _TimeLeft([short, long], clock)
    for case, took_s in ((short, 5), (long, 100)):
        left.start(case)
        clock.now_s += took_s
        left.finish()
    assert left.seconds() == pytest.approx(5)


def test_time_left_counts_down_within_a_repeat_and_ends_at_zero() -> None:
    clock = Clock()
    case = Case(strategy="grid", trials=4, repeats=2)
    left = _TimeLeft([case], clock)
    seen: list[float] = []
    for _ in range(case.repeats):
        left.start(case)
        for trial in range(case.trials):
            clock.now_s += 15
            left.progress((trial + 1) / case.trials)
            seconds = left.seconds()
            assert seconds is not None
            seen.append(seconds)
        left.finish()
    assert seen == pytest.approx([105, 90, 75, 60, 45, 30, 15, 0])
    assert left.text() == "0 s"


def test_resumed_repeat_does_not_make_whole_ones_look_quick() -> None:
    clock = Clock()
    case = Case(strategy="grid", trials=4, repeats=2)
    left = _TimeLeft([case], clock)
    left.start(case, done_share=0.5)
    clock.now_s += 10
    left.progress(0.75)
    assert left.seconds() == pytest.approx(10 + 40)
    clock.now_s += 10
    left.finish()
    assert left.seconds() == pytest.approx(40)


def test_repeats_that_were_finished_before_say_nothing_about_time() -> None:
    text = StringIO()
    case = Case(strategy="grid", trials=4, repeats=3)
    with Progress([case], text) as progress:
        progress.repeat_started(case, 0, done_trials=4)
        progress.repeat_finished(make_result(case))
    assert text.getvalue().endswith("unknown time left\n")


def test_time_left_recovers_from_a_slow_start() -> None:
    clock = Clock()
    case = Case(repeats=10)
    left = _TimeLeft([case], clock)
    errors = []
    for repeat, took_s in enumerate([60.0, *[10.0] * 9]):
        left.start(case)
        clock.now_s += took_s
        left.finish()
        seconds = left.seconds()
        assert seconds is not None
        errors.append(abs(seconds - 10.0 * (9 - repeat)))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_time_left_never_turns_negative() -> None:
    clock = Clock()
    case = Case(repeats=2)
    left = _TimeLeft([case], clock)
    left.start(case)
    clock.now_s += 10
    left.finish()
    left.start(case)
    clock.now_s += 1000
    assert left.seconds() == 0


def test_long_times_are_said_in_minutes() -> None:
    clock = Clock()
    left = _TimeLeft([Case(repeats=2)], clock)
    left.start(Case())
    clock.now_s += 125
    left.finish()
    assert left.text() == "2 min 05 s"
