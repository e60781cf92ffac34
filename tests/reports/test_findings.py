from dataclasses import replace
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.reports.findings import Findings, find
from greenbench.reports.page import sections
from greenbench.reports.verdicts import REFUSED, in_words, refusals
from greenbench.results.marks import DISTURBED
from greenbench.results.readings import Provenance
from tests.builders import make_result
from tests.reports.tables import HOST, Table, everything, family, layers, searches, table_of


def found(table: Table, **options: Any) -> Findings:
    return find(*table, {}, **options)


def texts(findings: Findings) -> str:
    return "\n".join(each.text for kind in in_words(findings) for each in kind)


@pytest.fixture(scope="module")
def all_findings() -> Findings:
    return found(everything())


def test_every_question_is_answered_in_words_with_what_its_energy_is(
    all_findings: Findings,
) -> None:
    verdicts = [each for kind in in_words(all_findings) for each in kind]
    said = "\n".join(each.text for each in verdicts)
    for words in ("simple_cnn.l reaches", "times the energy of torch", "At equal energy"):
        assert words in said
    assert "conv_layers explains" in said
    assert refusals(all_findings) == []
    without_energy = [each for each in verdicts if not each.label]
    assert ["test_score" in each.text for each in without_energy] == [True]
    assert {each.label for each in verdicts} == {"estimated", ""}


def test_the_order_of_rows_makes_no_difference(all_findings: Findings) -> None:
    rows, trials = everything()
    assert found((rows[::-1], trials[::-1])) == all_findings


def test_what_one_family_is_refused_others_are_not() -> None:
    other = [replace(r, case=replace(r.case, architecture="dense")) for r in family()]
    mixed = [*family(), *family(provenance=Provenance.COUNTER, seed=1), *other]
    findings = found(table_of(mixed))
    assert [each.family for each in findings.returns] == ["dense"]
    ((about, why),) = findings.refusals
    assert "simple_cnn" in about
    assert "figures differ in energy provenance (counter, model)" in why
    assert [each.label for each in refusals(findings)] == [REFUSED]


def test_hosts_are_answered_apart() -> None:
    findings = found(table_of([*family(), *family(host="another", seed=1)]))
    assert [each.host is not None for each in findings.returns] == [True, True]
    assert findings.refusals == ()


def test_devices_and_ratios_of_hosts_have_their_answers_and_tables() -> None:
    devices = [
        make_result(Case(devices=n), repeat=repeat, energy_j=36.0 * n, host=host)
        for n in (1, 2)
        for repeat in range(2)
        for host in ("here", "there")
    ]
    backends = [
        make_result(Case(backend=name, architecture="dense"), repeat=repeat, host=host)
        for name in ("torch", "keras")
        for repeat in range(2)
        for host in ("here", "there")
    ]
    findings = found(table_of([*devices, *backends]))
    assert [each.worth for each in findings.scaling] == [1, 1]
    assert [each.host is not None for each in findings.ratios] == [True, True]
    assert len(findings.over_hosts) == 1
    said = [each.text for kind in in_words(findings) for each in kind]
    assert sum("more cost more energy than they save time" in text for text in said) == 2
    assert any(text.startswith("Over 2 hosts") for text in said)
    names = [table.name for section in sections(findings) for table in section.tables]
    expected = {"scaling-1", "scaling-2", "backends-1", "backends-2", "backends-hosts"}
    assert expected <= set(names)
    assert len(names) == len(set(names))


def test_measured_and_estimated_energies_are_two_fronts() -> None:
    measured = family(provenance=Provenance.COUNTER, host="rig")
    findings = found(table_of([*family(), *measured]))
    assert {(front.title, front.label) for front in findings.fronts} == {
        (f"digits, host {HOST}", "estimated"),
        ("digits, host rig", "measured"),
    }
    for front in findings.fronts:
        assert {case.label for case in front.cases} == {front.label}


def test_two_meters_of_one_host_are_told_apart() -> None:
    (rows, trials), (others, more) = (
        table_of(family(), meter="codecarbon"),
        table_of(family(seed=1), meter="zeus"),
    )
    titles = [front.title for front in found((rows + others, trials + more)).fronts]
    assert titles == ["digits, meter codecarbon", "digits, meter zeus"]


def test_the_front_is_that_of_its_cases_and_the_baseline_takes_least_energy() -> None:
    findings = found(table_of(family()))
    (front,) = findings.fronts
    assert front.baseline.case_id == "default-simple_cnn.xs-torch-digits"
    on_front = {case.case_id for case in front.cases if case.is_on_front}
    assert on_front
    assert on_front == {case.case_id for case in findings.cases if case.is_on_front}


def test_a_sample_of_unknown_energy_stays_with_its_case() -> None:
    results = [make_result(repeat=i, energy_j=None if i == 2 else 36.0) for i in range(5)]
    (case,) = found(table_of(results)).cases
    assert (len(case.samples.counted), len(case.samples.rows)) == (4, 5)
    assert case.label == "estimated"
    assert case.figures["test_score"].n == 5


def test_cases_of_unknown_energy_are_listed_and_on_no_front() -> None:
    findings = found(table_of([make_result(energy_j=None)]))
    assert findings.fronts == ()
    assert [case.label for case in findings.cases] == ["none"]
    assert not findings.cases[0].is_on_front


def test_disturbed_samples_count_if_they_are_asked_to() -> None:
    table = table_of(family(), marks=DISTURBED)
    ((_, why),) = found(table).refusals
    assert "--include-disturbed" in why
    assert len(found(table, include_disturbed=True).returns) == 1


def test_delayed_samples_count_for_energy_and_not_for_time() -> None:
    rows, trials = table_of([make_result(repeat=i) for i in range(3)])
    rows[0] |= {"marks": "delayed", "duration_s": 1e6}
    (case,), (counted,) = (
        found((rows, trials), include_disturbed=each).cases for each in (False, True)
    )
    assert [case.figures[name].n for name in ("energy_wh", "duration_s")] == [3, 2]
    assert counted.figures["duration_s"].n == 3


def test_the_tolerance_is_that_of_all_in_words() -> None:
    findings = found(table_of([*family(), *searches("random", "grid")]), tolerance=0.05)
    assert findings.returns[0].decision.tolerance == 0.05
    assert findings.strategies[0].tolerance == 0.05


def test_strategies_without_trials_are_refused_and_say_why() -> None:
    rows, _ = table_of(searches("random", "grid"))
    ((about, why),) = found((rows, [])).refusals
    assert about == "strategies, simple_cnn.s, torch, digits"
    assert "no trials" in why


def test_several_groups_of_strategies_are_summed_up() -> None:
    one = searches("random", "grid")
    other = [replace(r, case=replace(r.case, size="m")) for r in one]
    findings = found(table_of([*one, *other]))
    assert findings.overall is not None
    assert findings.overall.sentence in texts(findings)


def test_layers_of_two_families_are_explained_apart() -> None:
    others = [replace(r, case=replace(r.case, architecture="dense")) for r in layers()]
    findings = found(table_of([*layers(), *others]))
    assert [each.where.partition(",")[0] for each in findings.factors] == ["dense", "simple_cnn"]


def test_more_options_than_can_be_explained_are_refused_by_name() -> None:
    names = [f"option{i}" for i in range(5)]
    results = [
        make_result(Case(architecture_options=tuple((name, level) for name in names)))
        for level in (1, 2)
    ]
    ((_, why),) = found(table_of(results)).refusals
    assert "5 options vary (option0, option1" in why
    assert "--factors" in why


def test_what_is_left_out_is_said() -> None:
    rows, trials = table_of([*family(), *family(backend="keras", seed=3)])
    rows = [
        {**row, "energy_wh": None} if row["size"] == "xl" and row["backend"] == "keras" else row
        for row in rows
        if not (row["size"] == "xs" and row["backend"] == "torch")
    ]
    said = texts(found((rows, trials)))
    assert "Left out, without a sample that counts: simple_cnn.xl." in said
    assert "1 group has no pair." in said


def test_one_case_asks_no_question() -> None:
    findings = found(table_of([make_result()]))
    assert not any(in_words(findings))
    assert findings.refusals == ()
