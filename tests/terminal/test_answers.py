from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from greenbench.compare.returns import compare_returns
from greenbench.results.marks import MEANINGS
from greenbench.terminal import (
    mark_lines,
    new_console,
    print_returns,
    print_summary,
    provenance_lines,
    returns_table,
    summary_table,
)
from greenbench.terminal.tables import Table
from tests.builders import make_row


def shown(table: Table) -> str:
    text = StringIO()
    Console(file=text, width=240, highlight=False).print(table)
    return text.getvalue()


def cells(text: str, containing: str) -> list[str]:
    """Return the cells of the one line of a table that contains a word."""
    (line,) = (line for line in text.splitlines() if containing in line)
    return [cell.strip() for cell in line.strip()[1:-1].replace("┃", "│").split("│")]


def summary_row(rows: Sequence[dict[str, Any]], **options: bool) -> dict[str, str]:
    """Return the only line of the table of cases, by heading, and what is said below of all."""
    table = shown(summary_table(rows, **options))
    said = {"energy is": "", "marks": ""}
    for line in table.splitlines():
        if line.startswith("Every case: "):
            for part in line.removeprefix("Every case: ").rstrip(".").split("; "):
                name = next(name for name in said if part.startswith(name))
                said[name] = part.removeprefix(f"{name} ").replace(",", "")
    return dict(zip(cells(table, "┃ case"), cells(table, "default-"), strict=True)) | said


def repeats(*energies_wh: float | None, marks: str | None = None) -> list[dict[str, Any]]:
    return [make_row(energy_wh=energy_wh, changed={"marks": marks}) for energy_wh in energies_wh]


def family(*energies_wh: float, accuracies: Sequence[float] = (0.85, 0.95, 0.96)) -> Any:
    rows = [
        make_row(f"dense.{size}", energy_wh=energy_wh, accuracy=accuracy)
        for size, energy_wh, accuracy in zip("sml", energies_wh, accuracies, strict=False)
    ]
    (found,) = compare_returns(rows)
    return found


def summary(rows: Sequence[dict[str, Any]], **options: bool) -> str:
    text = StringIO()
    print_summary(rows, new_console(text), **options)
    return text.getvalue()


def test_summary_shows_energy_emissions_accuracy_and_what_the_energy_is() -> None:
    assert summary_row([make_row(energy_wh=2.0, accuracy=0.912)]) == {
        "case": "default-simple_cnn.m-torch-digits",
        "n": "1",
        "energy, Wh": "2",
        "CV": "–",
        "95% of CV": "–",
        "emissions, g CO2e": "0.8",
        "test accuracy": "91.2%",
        "train GFLOP": "1",
        "energy is": "estimated",
        "marks": "few",
    }


def test_measured_energy_is_said_to_be_measured() -> None:
    row = make_row(changed={"energy_provenance": "counter"})
    assert summary_row([row])["energy is"] == "measured"


def test_repeats_become_a_median_with_their_range_and_a_variation() -> None:
    row = summary_row(repeats(1.0, 2.0, 3.0))
    assert (row["n"], row["energy, Wh"], row["CV"]) == ("3", "2 [1, 3]", "50.0%")
    assert row["95% of CV"] == "> 24%"
    assert summary_row(repeats(1.0, 1.01, 0.99))["95% of CV"] == "0.52–6.3%"


@pytest.mark.parametrize(("uncertainty_wh", "shown"), [(None, "2"), (0.02, "2"), (0.05, "2 ±2.5%")])
def test_uncertainty_stands_beside_an_energy_where_it_matters(
    uncertainty_wh: float | None, shown: str
) -> None:
    row = make_row(energy_wh=2.0, changed={"uncertainty_wh": uncertainty_wh})
    assert summary_row([row])["energy, Wh"] == shown


def test_marks_of_samples_and_of_the_case_are_shown_once() -> None:
    rows = [*repeats(1.0, 2.0, marks="short"), *repeats(3.0, marks="unreconciled short")]
    assert summary_row(rows)["marks"] == "short unreconciled unstable few"


def test_case_of_five_equal_samples_has_no_mark() -> None:
    row = summary_row(repeats(*[1.0] * 5))
    assert (row["n"], row["CV"], row["marks"]) == ("5", "0.0%", "")


@pytest.mark.parametrize(
    "other", [*repeats(None), *repeats(9.0, marks="disturbed")], ids=["unknown", "disturbed"]
)
def test_samples_that_do_not_count_are_told_in_n_and_enter_no_figure_of_energy(
    other: dict[str, Any],
) -> None:
    rows = [*repeats(1.0, 3.0), other]
    row = summary_row(rows)
    assert (row["n"], row["energy, Wh"], row["CV"]) == ("2 of 3", "2 [1, 3]", "70.7%")
    assert row["emissions, g CO2e"] == "0.8"


def test_emissions_at_a_world_average_have_one_digit_and_a_line_that_says_so() -> None:
    world = {"intensity_g_per_kwh": 475.0, "emissions_source": "world average of somebody"}
    rows = [make_row(energy_wh=2.0, changed={"emissions_g": 0.95, **world})]
    assert summary_row(rows)["emissions, g CO2e"] == "~0.9"
    said = "Emissions at ~500 g CO2e/kWh, with one digit: world average of somebody."
    assert said in summary(rows)


def test_accuracy_is_that_of_all_samples() -> None:
    rows = [
        make_row(accuracy=0.5),
        make_row(accuracy=0.6, changed={"marks": "disturbed"}),
        make_row(accuracy=0.7, energy_wh=None),
    ]
    assert summary_row(rows)["test accuracy"] == "60.0% [50.0, 70.0]"


def test_samples_that_were_all_disturbed_are_shown_in_brackets_and_not_summed_up() -> None:
    rows = repeats(4.0, 1.0, None, 2.0, marks="disturbed")
    row = summary_row(rows)
    assert (row["n"], row["energy, Wh"]) == ("0 of 4", "(1, 2, 4)")
    assert (row["CV"], row["emissions, g CO2e"]) == ("–", "–")


def test_disturbed_samples_are_summed_up_where_that_is_asked_for() -> None:
    row = summary_row(repeats(1.0, 2.0, 4.0, marks="disturbed"), include_disturbed=True)
    assert (row["n"], row["energy, Wh"]) == ("3", "2 [1, 4]")
    assert "disturbed" in row["marks"]


@pytest.mark.parametrize(
    ("energy_wh", "unit", "gram", "energy", "emissions"),
    [(0.1, "Wh", "g", "0.1", "0.04"), (0.0999, "mWh", "mg", "99.9", "40")],
)
def test_small_energies_are_shown_in_milliwatt_hours(
    energy_wh: float, unit: str, gram: str, energy: str, emissions: str
) -> None:
    row = summary_row([make_row(energy_wh=energy_wh)])
    assert row[f"energy, {unit}"] == energy
    assert row[f"emissions, {gram} CO2e"] == emissions


def test_small_energies_in_brackets_are_in_the_columns_unit_too() -> None:
    row = summary_row(repeats(0.001, 0.002, marks="disturbed"))
    assert row["energy, mWh"] == "(1, 2)"


def test_one_unit_serves_the_whole_column() -> None:
    rows = [make_row("dense.s", energy_wh=0.001), make_row("dense.m", energy_wh=5.0)]
    table = shown(summary_table(rows))
    assert cells(table, "dense.s")[2] == "0.001"
    assert cells(table, "dense.m")[2] == "5"


def test_unknown_energy_is_shown_as_none_and_not_as_zero() -> None:
    row = summary_row(repeats(None))
    assert (row["n"], row["energy, mWh"], row["energy is"]) == ("0 of 1", "none", "none")
    assert (row["CV"], row["emissions, mg CO2e"]) == ("–", "–")


def test_failed_case_is_shown_without_accuracy_and_with_its_failures() -> None:
    row = summary_row([make_row(accuracy=None), make_row()])
    assert summary_row([make_row(accuracy=None)])["test accuracy"] == "none"
    assert row["failed trials"] == "1 of 2"


def test_returns_show_what_each_size_costs_and_buys() -> None:
    table = shown(returns_table(family(1.0, 3.0, 4.0, accuracies=[0.80, 0.90, 0.88])))
    assert "Diminishing returns: dense, default, torch, digits (energy estimated)" in table
    assert cells(table, "dense.s") == ["dense.s", "1,234", "1", "1", "80.0%", "–", "●", "–"]
    assert cells(table, "dense.m") == ["dense.m", "1,234", "1", "3", "90.0%", "+5", "●", "–"]
    assert cells(table, "dense.l")[3:] == ["4", "88.0%", "-2", "dominated", "–"]


def test_returns_of_small_energies_are_in_milliwatt_hours() -> None:
    table = shown(returns_table(family(0.001, 0.003, accuracies=[0.8, 0.9])))
    assert "energy, mWh" in table
    assert "points/mWh" in table
    assert cells(table, "dense.m")[3:6] == ["3", "90.0%", "+5"]


@pytest.mark.parametrize(
    ("provenance", "label"),
    [("counter", "measured"), ("sampled", "measured"), ("constant", "estimated")],
)
def test_title_of_the_returns_says_what_the_energy_is(provenance: str, label: str) -> None:
    changed = {"energy_provenance": provenance}
    rows = [make_row(f"dense.{size}", changed=changed) for size in "sm"]
    (found,) = compare_returns(rows)
    assert f"digits (energy {label})" in shown(returns_table(found))


def test_returns_are_printed_with_their_sentence() -> None:
    text = StringIO()
    found = family(1.0, 3.0, 4.0)
    print_returns([found], new_console(text))
    assert found.sentence in text.getvalue()
    assert "Left out" not in text.getvalue()


def test_returns_name_the_sizes_that_are_left_out() -> None:
    rows = [make_row("dense.s"), make_row("dense.m", energy_wh=2.0)]
    rows += [make_row("dense.l", energy_wh=None), make_row("dense.xl", energy_wh=None)]
    assert "Left out, without a sample that counts: dense.l, dense.xl." in summary(rows)


@pytest.mark.parametrize("text", ["[red]", "[/red]", "[bold", "x[0]", "[link=http://a]b[/link]"])
def test_brackets_in_names_are_shown_as_they_are(text: str) -> None:
    changed = {"case_id": f"case {text}", "setting": text, "energy_source": text, "host": text}
    changed["emissions_source"] = text
    unknown = {**changed, "energy_reason": text, "case_id": f"m {text}"}
    rows = [
        make_row(f"dense.{size}", changed={**changed, "case_id": f"{size} {text}"}) for size in "sm"
    ]
    rows.append(make_row("dense.m", energy_wh=None, changed=unknown))
    printed = summary(rows)
    assert f"s {text}" in printed
    assert f"is unknown: {text}." in printed
    assert f"dense, default, torch, {text}" in printed
    assert f"(model) by {text}." in printed


def test_provenance_is_said_with_meter_and_emission_source() -> None:
    lines = provenance_lines([make_row()])
    assert lines[0].startswith("Energy is ESTIMATED (model) by fake meter.")
    assert any("ratios" in line for line in lines)
    assert lines[-1] == "Emissions at 400 g CO2e/kWh: given by the user."


def test_measured_figures_come_without_the_warning() -> None:
    lines = provenance_lines([make_row(changed={"energy_provenance": "counter"})])
    assert lines[0].startswith("Energy is MEASURED (counter)")
    assert not any("ratios" in line for line in lines)


def test_what_is_modelled_beside_a_measured_headline_is_said_with_its_energy() -> None:
    gpu = {"energy_provenance": "counter", "energy_scope": "gpu", "gpu_provenance": "counter"}
    rows = [make_row(changed={**gpu, "cpu_wh": wh}) for wh in (0.011, 0.012, 0.02)]
    assert provenance_lines(rows)[1] == (
        "It covers GPU alone, and so do emissions; beside it, never in it: CPU 12 mWh estimated "
        "(median of a repeat)."
    )
    assert not any("beside" in line for line in provenance_lines([make_row()]))


def test_each_provenance_and_emission_source_is_said_once() -> None:
    other = {"energy_provenance": "counter", "emissions_source": "mine"}
    rows = [make_row(), make_row(changed=other), make_row()]
    starts = [line.split(" (")[0] for line in provenance_lines(rows)]
    assert starts.count("Energy is ESTIMATED") == starts.count("Energy is MEASURED") == 1
    assert len([line for line in starts if line.startswith("Emissions")]) == 2


def test_unknown_energies_are_counted_with_each_reason() -> None:
    reasons = ["the clock jumped", "the counter stands still", "the clock jumped", None]
    rows = [make_row(energy_wh=None, changed={"energy_reason": reason}) for reason in reasons]
    assert provenance_lines([make_row(), *rows])[2:-1] == [
        "The energy of 2 of 5 samples is unknown: the clock jumped.",
        "The energy of 1 of 5 samples is unknown: the counter stands still.",
        "The energy of 1 of 5 samples is unknown: the meter gave no reason.",
    ]


def test_unknown_energy_is_not_said_to_be_good_for_ratios() -> None:
    unknown, emissions = provenance_lines([make_row(energy_wh=None)])
    assert unknown.startswith("The energy of 1 of 1 sample is unknown")
    assert emissions.startswith("Emissions")


def test_notes_on_data_are_said_once_each_and_older_results_have_none() -> None:
    note = "image folder alpha: 730 images read; 2 files skipped (2 .svg)"
    old = make_row()
    del old["data_notes"]
    rows = [old, make_row(), *(make_row(changed={"data_notes": note}) for _ in range(2))]
    assert [line for line in provenance_lines(rows) if "image" in line] == [f"Data: {note}."]
    assert provenance_lines(rows)[-1] == f"Data: {note}."


def test_notes_on_how_was_computed_are_said_once_each_and_older_results_have_none() -> None:
    note = "the training step of architecture 'x' is not replayed as a CUDA graph: it waits"
    old = make_row()
    del old["compute_notes"]
    rows = [old, make_row(), *(make_row(changed={"compute_notes": note}) for _ in range(2))]
    assert [line for line in provenance_lines(rows) if "graph" in line] == [f"Compute: {note}."]


def second_opinion(*shares: float | None, meter: str = "codecarbon,zeus") -> list[str]:
    rows = [make_row(changed={"meter": meter, "meter_disagreement": share}) for share in shares]
    return [line for line in provenance_lines(rows) if line.startswith("The meters")]


def test_second_opinion_is_the_largest_difference() -> None:
    assert second_opinion(0.012, 0.034, None) == [
        "The meters codecarbon,zeus differ by at most 3.4% on what both measure. "
        "See `greenbench doctor`."
    ]


def test_witness_with_nothing_in_common_is_no_second_opinion() -> None:
    (line,) = second_opinion(None, None)
    assert "measure nothing in common, so there is no second opinion" in line


def test_one_meter_alone_has_no_second_opinion() -> None:
    assert second_opinion(None, meter="codecarbon") == []


def test_mark_lines_say_what_each_mark_means_and_how_many_samples_have_it() -> None:
    rows = [*repeats(1.0, 1.0, marks="short disturbed"), *repeats(1.0, marks="short")]
    assert mark_lines(rows) == [
        f"disturbed: {MEANINGS['disturbed']} (2 of 3 samples)",
        f"short: {MEANINGS['short']} (3 of 3 samples)",
        f"few: {MEANINGS['few']} (1 of 1 case)",
    ]


def test_marks_of_a_case_are_counted_by_case() -> None:
    rows = [make_row("dense.s", energy_wh=energy_wh) for energy_wh in (1.0, 1.5, 1.0, 1.5, 1.0)]
    rows += [make_row("dense.m")]
    assert [line.rpartition("(")[2] for line in mark_lines(rows)] == ["1 of 2 cases)"] * 2
    assert [line.partition(":")[0] for line in mark_lines(rows)] == ["unstable", "few"]


def test_mark_lines_follow_what_counts() -> None:
    rows = repeats(*[1.0] * 5, marks="disturbed")
    assert [line.partition(":")[0] for line in mark_lines(rows)] == ["disturbed", "few"]
    included = mark_lines(rows, include_disturbed=True)
    assert [line.partition(":")[0] for line in included] == ["disturbed"]


def test_every_mark_in_the_summary_is_explained() -> None:
    rows = repeats(1.0, 2.0, marks=" ".join(set(MEANINGS) - {"unstable", "few"}))
    printed = summary(rows, include_disturbed=True)
    for mark, meaning in MEANINGS.items():
        assert f"{mark}: {meaning} (" in printed


def test_disturbed_family_is_shown_with_the_way_to_compare_it() -> None:
    changed = {"marks": "disturbed"}
    rows = [
        make_row("dense.s", changed=changed),
        make_row("dense.m", energy_wh=2.0, changed=changed),
    ]
    assert "No diminishing returns: dense" in summary(rows)
    assert "`--include-disturbed`" in summary(rows)
    assert "dense.s reaches 90.0%" in summary(rows, include_disturbed=True)


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
