"""Reports of scores of any unit and direction; that they are right of accuracies, others show."""

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from greenbench.reports.about import about
from greenbench.reports.canvas import SVG
from greenbench.reports.findings import Findings, find
from greenbench.reports.page import Section, render, sections
from greenbench.results.scores import columns_of
from greenbench.tasks import Score
from tests.reports.tables import Row, Table, family, searches, table_of

BITS = Score("bits_per_token", "bits", higher_is_better=False, low=0.0)
R2 = Score("r2", high=1.0)


def judged_by(score: Score, dataset: str, figure: Callable[[float], float]) -> Table:
    """Return a table whose accuracies are turned into scores of another kind."""

    def changed(row: Row) -> Row:
        told: Row = {"dataset": dataset, "setting": dataset, "case_hash": dataset}
        told |= {"case_id": str(row["case_id"]).replace("digits", dataset), **columns_of(score)}
        for name in {"test_score", "val_score"} & row.keys():
            told[name] = figure(row[name])
        return {**row, **told, "test_accuracy": None, "val_accuracy": None}

    rows, trials = table_of([*family(repeats=3)[:6], *searches("random", "bayesian")[:6]])
    others = [row for row in searches_of(trials) if row["repeat"] < 3]
    return [changed(row) for row in rows], [changed(row) for row in others]


def searches_of(trials: list[Row]) -> list[Row]:
    return [row for row in trials if row["strategy"] != "default"]


@pytest.fixture(scope="module")
def findings() -> Findings:
    accuracies = table_of(family(repeats=3)[:6])
    bits = judged_by(BITS, "text", lambda share: 8 * (1.2 - share))
    r2 = judged_by(R2, "diabetes", lambda share: 5 * share - 4.7)
    rows, trials = ([*a, *b, *c] for a, b, c in zip(accuracies, bits, r2, strict=True))
    return find(rows, trials, {})


@pytest.fixture(scope="module")
def parts(findings: Findings) -> dict[str, Section]:
    return {part.name: part for part in sections(findings)}


def test_captions_call_the_range_of_three_repeats_so_and_no_interval(
    parts: dict[str, Section],
) -> None:
    captions = [t.caption for name in ("front", "returns") for t in parts[name].tables]
    shown = [caption for caption in captions if "median" in caption]
    assert shown
    assert all("median [range of 3" in caption for caption in shown)
    assert not any("95%" in caption for caption in captions)


def test_each_axis_has_one_score_and_says_which_and_the_way(parts: dict[str, Section]) -> None:
    assert [axis_of(figure.page_svg) for figure in parts["front"].figures] == [
        "test R²",
        "test accuracy, %",
        "test bits per token (lower is better)",
    ]
    assert [figure.title.partition(",")[0] for figure in parts["front"].figures] == [
        "R² against energy",
        "Accuracy against energy",
        "Bits per token against energy",
    ]


def axis_of(svg: str) -> str:
    texts = ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter(f"{{{SVG}}}text")]
    return next(text for text in texts if text.startswith("test "))


def test_of_bits_the_least_are_on_the_front(findings: Findings) -> None:
    (front,) = (front for front in findings.fronts if front.score.name == BITS.name)
    best = min(front.cases, key=lambda case: case.figures["test_score"].median)
    assert best.is_on_front
    dearer = [case for case in front.cases if is_dearer(case, best)]
    assert not any(case.is_on_front for case in dearer)


def is_dearer(case: object, best: object) -> bool:
    energies = [each.figures["energy_wh"].median for each in (case, best)]  # type: ignore[attr-defined]
    return bool(energies[0] > energies[1])


def test_each_table_of_cases_has_one_score(parts: dict[str, Section]) -> None:
    tables = parts["front"].tables
    assert [table.name for table in tables] == ["cases-1", "cases-2", "cases-3"]
    shown = {heading for table in tables for heading in table.headings if "test" in heading}
    assert shown == {"test accuracy", "test R²", "test bits per token ↓"}
    assert {table.caption.partition(":")[0] for table in tables} == {
        "Cases by accuracy",
        "Cases by R²",
        "Cases by bits per token (lower is better)",
    }


def test_nothing_but_a_share_is_in_per_cent(parts: dict[str, Section]) -> None:
    for name in ("front", "returns", "strategies"):
        for table in parts[name].tables:
            if "accuracy" in table.caption or not any("test " in h for h in table.headings):
                continue
            column = next(i for i, h in enumerate(table.headings) if h.startswith("test "))
            is_share = table.headings[column] == "test accuracy"
            assert all(("%" in row[column].text) == is_share for row in table.rows), table.name


def test_what_may_be_negative_is_shown_as_a_difference_and_not_as_a_ratio(
    parts: dict[str, Section],
) -> None:
    headings = [table.headings[4] for table in parts["ratios"].tables]
    assert headings == ["difference in test R²", "test accuracy", "test bits per token ↓"]
    differences, ratios, _ = ([row[4].text for row in t.rows] for t in parts["ratios"].tables)
    assert not any("×" in text for text in differences)
    assert all("×" in text for text in ratios)


def test_a_page_speaks_of_scores_where_there_are_several(
    findings: Findings, parts: dict[str, Section]
) -> None:
    page = render(findings, list(parts.values()), [])
    assert "Scores against energy" in page
    assert "points of accuracy" not in page


@pytest.mark.parametrize(
    ("score", "title", "said"),
    [
        (R2, "R² against energy", "at least its R² for less energy"),
        (BITS, "Bits per token against energy", "at most its bits per token for less energy"),
    ],
)
def test_a_page_of_one_score_speaks_of_it_by_name(score: Score, title: str, said: str) -> None:
    rows, _ = judged_by(score, "text", lambda share: 2 * share - 1)
    heading, text = about(find(rows, [], {}))["front"]
    assert heading == title
    assert said in text
    assert ("lower is better" in text) is not score.higher_is_better
