"""What other programs get of the gate."""

import json
import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.compare.stats import estimate
from greenbench.gate.judgement import Judgement, Judgements, Verdict
from greenbench.gate.outputs import (
    counted,
    to_annotations,
    to_bencher,
    to_json,
    to_junit,
    to_markdown,
    to_smaller_is_better,
)
from greenbench.gate.wording import sentence
from tests.builders import make_row
from tests.judgements import make_judgement, make_judgements

FAIL, WARN, PASS, DOUBT = Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.INCONCLUSIVE
MIB = 2**20
ENERGIES = (1.0, 1.1, 1.3, 1.2, 1.05)


def of(*found: Judgement, notes: tuple[str, ...] = ()) -> Judgements:
    return Judgements(found, None, notes)


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def rows(*energies_wh: float | None, **changed: Any) -> list[dict[str, Any]]:
    return [make_row(energy_wh=energy_wh, changed=changed) for energy_wh in energies_wh]


def entries(some: list[dict[str, Any]], **options: bool) -> dict[str, dict[str, Any]]:
    return {
        entry["name"].rpartition(" ")[2]: entry
        for entry in strict(to_smaller_is_better(some, **options))
    }


def test_verdicts_are_counted_the_worst_first() -> None:
    found = make_judgements(PASS, DOUBT, WARN, PASS, FAIL, WARN)

    assert counted(found) == "1 violated, 2 warnings, 1 inconclusive, 2 passed"
    assert counted(of()) == "nothing was judged"


def test_json_has_every_field_and_the_sentence() -> None:
    found = make_judgements(FAIL, PASS, notes=("a note",))

    said = strict(to_json(found))

    assert (said["schema"], said["verdict"], said["notes"]) == (1, "fail", ["a note"])
    assert said["baseline"] == "benchmarks/baselines/ci.json"
    first = said["judgements"][0]
    assert first.pop("sentence") == sentence(found.all[0])
    assert first == {
        **vars(found.all[0]), "samples": list(found.all[0].samples),
        "baseline": list(found.all[0].baseline), "score": None,
    }  # fmt: skip


def test_json_is_strict_whatever_the_figures_are() -> None:
    found = make_judgement(high=math.inf, low=math.nan, samples=(math.nan,), case_id="\ud800")

    (said,) = strict(to_json(of(found)))["judgements"]

    assert (said["low"], said["high"], said["samples"]) == (None, None, [None])


def test_junit_fails_violations_alone_and_skips_doubt() -> None:
    found = make_judgements(FAIL, WARN, DOUBT, PASS, notes=("a note",))

    suite = ET.fromstring(to_junit(found))[0]

    assert suite.attrib == {
        "name": "greenbench gate", "tests": "4", "failures": "1", "errors": "0", "skipped": "1",
    }  # fmt: skip
    cases = suite.findall("testcase")
    children = {case.get("classname"): [child.tag for child in case] for case in cases}
    assert children == {
        "case-0": ["failure"], "case-1": ["system-out"], "case-2": ["skipped"], "case-3": [],
    }  # fmt: skip
    assert cases[0].get("name") == "energy_wh max_increase"
    assert cases[0][0].get("message") == cases[0][0].text == sentence(found.all[0])
    assert cases[1][0].text == sentence(found.all[1])
    assert cases[2][0].get("message") == sentence(found.all[2])
    assert suite.findtext("system-out") == "a note"


@given(st.text(st.characters()))
def test_junit_is_xml_whatever_names_hold(name: str) -> None:
    found = make_judgement(case_id=name, reason=name, accept=name)

    root = ET.fromstring(to_junit(of(found, notes=(name,))).encode())

    assert root.findall(".//failure")


def test_markdown_says_the_verdict_and_shows_what_did_not_pass_first() -> None:
    said = to_markdown(make_judgements(PASS, DOUBT, WARN, FAIL, notes=("no case of x",)))

    assert said.startswith("## The gate fails")
    assert "1 violated, 1 warning, 1 inconclusive, 1 passed." in said
    assert re.findall(r"^\| (case-\d)", said, re.M) == ["case-3", "case-2", "case-1", "case-0"]
    assert (
        said.index("| case-1") < said.index("<details><summary>1 passed") < said.index("| case-0")
    )
    assert "- no case of x" in said


@pytest.mark.parametrize(
    ("verdicts", "heading"),
    [((PASS,), "The gate passes"), ((PASS, WARN), "The gate passes, with warnings"),
     ((PASS, DOUBT), "The gate cannot tell"), ((), "The gate judged nothing")],
)  # fmt: skip
def test_markdown_has_a_heading_for_each_verdict(
    verdicts: tuple[Verdict, ...], heading: str
) -> None:
    assert to_markdown(make_judgements(*verdicts)).splitlines()[0] == f"## {heading}"


def test_markdown_cells_are_escaped() -> None:
    said = to_markdown(of(make_judgement(case_id="a|b`c`<img src=x>\n| d |")))

    (row,) = [line for line in said.splitlines() if line.startswith("| a")]
    assert row.startswith(r"| a\|b\`c\`\<img src=x\>\\n\| d \| | energy_wh |")
    assert len(re.findall(r"(?<!\\)\|", row)) == 8


@pytest.mark.parametrize("verdicts", [(FAIL,), (PASS,), (FAIL, PASS)])
def test_markdown_stays_below_the_limit_and_counts_what_is_left_out(
    verdicts: tuple[Verdict, ...],
) -> None:
    name = "é" * 400
    found = [make_judgement(case_id=name, verdict=v) for v in verdicts for _ in range(3000)]

    said = to_markdown(of(*found))

    assert len(said.encode()) < MIB
    shown = len(re.findall(rf"^\| {name}", said, re.M))
    left = sum(map(int, re.findall(r"^(\d+) more did not fit here", said, re.M)))
    listed = len(re.findall(r"^- \*\*", said, re.M))
    assert shown + listed + left == len(found) + len(found) * verdicts.count(FAIL) // len(verdicts)
    assert left
    assert bool(listed) == (FAIL in verdicts)


def test_markdown_of_many_notes_stays_below_the_limit() -> None:
    assert len(to_markdown(of(make_judgement(), notes=("x" * 1000,) * 2000)).encode()) < MIB


def test_annotations_stand_on_the_budgets_line_one_for_each_level() -> None:
    found = [make_judgement(verdict=v, case_id=f"c{n}") for n, v in enumerate([FAIL, FAIL, WARN])]
    found += [make_judgement(verdict=DOUBT), make_judgement(verdict=PASS)]

    lines = to_annotations(of(*found)).splitlines()

    assert [line.partition("::")[2].partition("::")[0] for line in lines] == [
        "error file=benchmarks/budgets.toml,line=7,title=2 violated%3A energy_wh max_increase",
        "warning file=benchmarks/budgets.toml,line=7,title=1 warning%3A energy_wh max_increase",
        "notice file=benchmarks/budgets.toml,line=7,title=1 inconclusive%3A energy_wh max_increase",
    ]
    assert "::c0: energy_wh rose by 23.4%25 [+11.8%25" in lines[0]
    assert "%0Ac1: energy_wh rose" in lines[0]


def test_annotations_escape_what_github_would_obey() -> None:
    found = make_judgement(case_id="x\r\n::error::%0A", budget="my,dir:a%/b.toml:3")

    (line,) = to_annotations(of(found)).splitlines()

    assert line.startswith("::error file=my%2Cdir%3Aa%25/b.toml,line=3,")
    assert r"::x\r\n::error::%250A: energy_wh" in line


def test_annotations_of_a_level_are_at_most_ten_and_the_last_tells_of_the_rest() -> None:
    found = [make_judgement(budget=f"b.toml:{n}", case_id=f"c{n}") for n in range(1, 41)]

    lines = to_annotations(of(*found)).splitlines()

    assert len(lines) == 10
    assert "line=10,title=31 violated" in lines[-1]
    assert lines[-1].count("%0A") == 10
    assert lines[-1].endswith("%0Aand 21 more")
    assert len(to_annotations(of(*found[:10])).splitlines()) == 10
    assert "title=1 violated" in to_annotations(of(*found[:10])).splitlines()[-1]


def test_annotation_without_a_line_names_the_file() -> None:
    found = make_judgement(budget="budgets.toml")

    assert to_annotations(of(found)).startswith("::error file=budgets.toml,title=")


def test_smaller_is_better_has_medians_ranges_and_provenance() -> None:
    found = entries(rows(*ENERGIES))

    expected = estimate(ENERGIES)
    assert list(found) == ["energy_wh", "emissions_g", "duration_s", "train_flops"]
    assert found["energy_wh"] == {
        "name": f"{make_row()['case_id']} energy_wh",
        "unit": "Wh",
        "value": pytest.approx(1.1),
        "range": f"{expected.low:.4g} to {expected.high:.4g}",
        "extra": "n = 5\nrange of 5\nenergy estimated (model) by fake meter",
    }
    assert "estimated (model)" in found["emissions_g"]["extra"]
    assert found["train_flops"]["extra"] == "n = 5\nrange of 5"


def test_disturbed_samples_count_in_dashboards_only_if_asked_for() -> None:
    some = rows(1.0, 1.0, 1.0) + rows(9.0, 9.0, 9.0, 9.0, marks="disturbed few", duration_s=99.0)

    left_out, included = entries(some), entries(some, include_disturbed=True)

    assert left_out["energy_wh"]["value"] == pytest.approx(1.0)
    assert left_out["duration_s"]["value"] < 99.0
    assert left_out["train_flops"]["extra"] == "n = 7\n98.4% interval"
    assert included["energy_wh"]["value"] == pytest.approx(9.0)
    assert included["duration_s"]["value"] == 99.0


def test_unknown_and_impossible_figures_are_left_out() -> None:
    some = rows(None, None) + rows(2.0, duration_s=math.nan, emissions_g=math.inf)

    found = entries(some)

    assert found["energy_wh"]["value"] == pytest.approx(2.0)
    assert "range" not in found["energy_wh"]
    assert "emissions_g" not in found
    assert found["duration_s"]["extra"] == "n = 2\nrange of 2"
    assert "energy_wh" not in entries(rows(None))
    assert strict(to_smaller_is_better([])) == []


def test_bencher_has_values_and_bounds_by_case_and_column() -> None:
    some = [*rows(*ENERGIES), make_row("dense.s", energy_wh=3.0)]

    found = strict(to_bencher(some))

    first, other = found.values()
    expected = estimate(ENERGIES)
    assert first["energy_wh"] == pytest.approx(
        {"value": 1.1, "lower_value": expected.low, "upper_value": expected.high}
    )
    assert other["energy_wh"] == {"value": pytest.approx(3.0)}
    assert list(found) == [make_row()["case_id"], make_row("dense.s")["case_id"]]


def test_bencher_takes_disturbed_samples_if_asked_to() -> None:
    some = rows(1.0) + rows(9.0, marks="disturbed")

    values = [
        next(iter(strict(to_bencher(some, include_disturbed=choice)).values()))["energy_wh"][
            "value"
        ]
        for choice in (False, True)
    ]

    assert values == pytest.approx([1.0, 5.0])
