import csv
import gzip
import io
import json
import re
from base64 import b64decode
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.reports.content import cases_tables
from greenbench.reports.findings import Findings, find
from greenbench.reports.page import DARK, Section, render, sections
from greenbench.results.readings import Provenance
from greenbench.results.table import METRICS, TAGS
from tests.builders import make_result, make_trial
from tests.reports.tables import Table, everything, family, searches, table_of

NOTES = ["Energy is ESTIMATED (model) by a meter.", "See `greenbench doctor`."]
MACHINE = {"0123456789ab": {"cpu": "a CPU", "threads": "2", "torch": "2.4"}}
VOID = {"meta", "wbr"}
HOSTILE = "<script>alert(1)</script>\"'&<!--]]> $x_1$ `code`"
# What an older version may have written, or what no two samples can be without.
NEEDED = (
    "case_id", "case_hash", "suite", "strategy", "architecture", "family", "backend", "dataset",
    "setting", "host", "energy_wh", "test_score", "repeat", "session",
)  # fmt: skip


class Outline(HTMLParser):
    """A page as its elements, and the texts within them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def values(self, name: str) -> list[str]:
        return [str(found[name]) for _, found in self.elements if name in found]

    @property
    def text(self) -> str:
        return "".join(data for tag, data in self.texts if tag not in ("style", "script"))


def page_of(table: Table, environments: dict[str, Any] | None = None) -> str:
    findings = find(*table, environments or {})
    return render(findings, sections(findings), NOTES)


def csv_links(page: str) -> dict[str, list[dict[str, str]]]:
    links = re.findall(
        r'download="([^"]*).csv.gz" href="data:application/gzip;base64,([^"]*)"', page
    )
    texts = {name: gzip.decompress(b64decode(data)).decode() for name, data in links}
    return {name: list(csv.DictReader(io.StringIO(text))) for name, text in texts.items()}


@pytest.fixture(scope="module")
def findings() -> Findings:
    return find(*everything(), MACHINE)


@pytest.fixture(scope="module")
def parts(findings: Findings) -> list[Section]:
    return sections(findings)


@pytest.fixture(scope="module")
def page(findings: Findings, parts: list[Section]) -> str:
    return render(findings, parts, NOTES)


def test_page_opens_with_verdicts_and_has_every_part(page: str) -> None:
    ids = re.findall(r'<section id="([^"]*)">', page)
    assert ids == [
        "verdicts", "front", "found", "returns", "strategies", "factors", "backends", "ratios",
        "environment",
    ]  # fmt: skip
    assert page.index("simple_cnn.l reaches") < page.index("<figure>")


def test_no_colour_says_that_an_answer_is_proven(page: str) -> None:
    # Its words do, of which those of some say that it is not.
    marks = dict(re.findall(r"\.verdicts ([\w.]+) \{\s*border-left: [^;]*var\(--([\w-]+)\)", page))
    assert marks == {"li": "muted", ".refusal": "series-2"}


def test_tags_are_balanced_and_ids_are_unique_and_found(page: str) -> None:
    outline = Outline(page)
    assert outline.unbalanced == []
    assert outline.open == []
    ids = Counter(outline.values("id"))
    assert [identity for identity, times in ids.items() if times > 1] == []
    targets = [href[1:] for href in outline.values("href") if href.startswith("#")]
    targets += re.findall(r"url\(#([^)]*)\)", page)
    targets += outline.values("aria-labelledby")
    assert targets
    assert set(targets) <= set(ids)


def test_nothing_comes_from_elsewhere(page: str) -> None:
    outline = Outline(page)
    assert not {"link", "img", "iframe", "object", "base"} & {tag for tag, _ in outline.elements}
    assert outline.values("src") == []
    assert "default-src 'none'" in page
    assert "@import" not in page
    # Name spaces are names.
    assert set(re.findall(r"https?://[^\"' <]*", page)) <= {"http://www.w3.org/2000/svg"}


def test_emissions_at_a_world_average_have_one_digit_on_the_page_and_all_in_its_csv() -> None:
    rows, trials = everything()
    rows = [{**row, "emissions_source": "world average of somebody"} for row in rows]
    (cases, *_) = cases_tables(find(rows, trials, MACHINE))
    (column,) = [i for i, name in enumerate(cases.headings) if name.startswith("emissions")]
    assert cases.headings[column].endswith(" CO2e (~ world average)")
    assert all(re.fullmatch(r"~(0\.)?0*[1-9]0*", row[column].text) for row in cases.rows)
    assert any(len(f"{record['emissions_g']}") > 4 for record in cases.records)


def test_every_figure_has_a_heading_and_says_its_content(page: str, parts: list[Section]) -> None:
    figures = [figure for part in parts for figure in part.figures]
    drawn = [found for tag, found in Outline(page).elements if tag == "svg"]
    assert [found["aria-label"] for found in drawn] == [figure.alternative for figure in figures]
    assert {found["role"] for found in drawn} == {"group"}
    assert all(any(letter.isdigit() for letter in figure.alternative) for figure in figures)
    assert page.count("<figcaption>") == len(figures)


def test_every_table_is_to_be_had_in_full(
    page: str, parts: list[Section], findings: Findings
) -> None:
    links = csv_links(page)
    tables = [table for part in parts for table in part.tables]
    assert list(links) == ["samples", *(table.name for table in tables)]
    for table in tables:
        assert len(links[table.name]) == len(table.records)
    for name in ("energy_wh", "test_score", "train_flops"):
        read = [float(row[name]) for row in links["samples"]]
        assert read == [row[name] for row in findings.rows]
    medians = {row["case_id"]: float(row["energy_wh"]) for row in links["cases"]}
    for case in findings.cases:
        assert medians[case.case_id] == case.figures["energy_wh"].median


def test_strategies_table_has_equal_energy_equal_trials_and_wins(parts: list[Section]) -> None:
    (part,) = [part for part in parts if part.name == "strategies"]
    (table, *_) = part.tables
    column = dict(enumerate(table.headings))
    for row in table.rows:
        shown = {column[i]: cell.text for i, cell in enumerate(row)}
        assert re.fullmatch(r"[\d.]+% \[[\d.]+, [\d.]+\]", shown["at equal energy"])
        assert re.fullmatch(r"[\d.]+% \[[\d.]+, [\d.]+\]", shown["at equal trials"])
        assert re.fullmatch(r"\d+%", shown["wins"])


def test_strategies_say_what_their_energy_went_into(parts: list[Section]) -> None:
    (part,) = [part for part in parts if part.name == "strategies"]
    (table,) = [table for table in part.tables if table.name == "spending"]
    assert {record["strategy"] for record in table.records} == {"bayesian", "default", "random"}
    for row, record in zip(table.rows, table.records, strict=True):
        shown = dict(zip(table.headings, (cell.text for cell in row), strict=True))
        assert shown["never incumbent"] == f"{record['wasted_share']:.1%}"
        assert (shown["stopped"], shown["proposals"]) == ("0", "–")  # none was booked


def test_ratios_of_the_baseline_are_one_and_shades_grow(parts: list[Section]) -> None:
    (part,) = [part for part in parts if part.name == "ratios"]
    (table,) = part.tables
    energies = [row[1] for row in table.rows]
    assert energies[0].text == "×1.00"
    assert energies[0].style == ""
    styles = [cell.style for cell in energies]
    assert styles == sorted(styles)
    assert energies[-1].style == "more-4"
    accuracy = [row[4] for row in table.rows]
    assert {cell.style[:4] for cell in accuracy} <= {"", "less", "more"}


def test_machines_are_described(page: str) -> None:
    assert "a CPU" in page[page.index('id="environment"') :]


def test_page_follows_the_readers_light_or_dark(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert f"--paper: {DARK['paper']};" in page
    assert "@media print" in page


def test_commands_in_sentences_stand_out(page: str) -> None:
    assert "<code>greenbench doctor</code>" in page


@pytest.mark.parametrize("provenance", [Provenance.COUNTER, Provenance.MODEL])
def test_estimates_never_pass_for_measurements(provenance: Provenance) -> None:
    rows, trials = table_of([*family(), *searches("random", "grid")])
    for row in rows + trials:
        row["energy_provenance"] = provenance.value
    text = Outline(page_of((rows, trials))).text.replace(NOTES[0], "")
    other = {"measured": "estimated", "estimated": "measured"}[provenance.label]
    assert provenance.label in text
    assert other not in text


def test_names_are_shown_and_never_run() -> None:
    changed = dict.fromkeys(
        ("case_id", "suite", "host", "setting", "dataset", "meter", "energy_source", "marks"),
        HOSTILE,
    )
    rows, trials = table_of([*family(), *searches("random", "grid")], **changed)
    for row in rows + trials:
        row["family"], row["architecture"] = HOSTILE, f"{HOSTILE}.{row['size']}"
    clean = Outline(page_of(table_of([*family(), *searches("random", "grid")])))
    page = page_of((rows, trials), {HOSTILE: {HOSTILE: HOSTILE}})
    outline = Outline(page)
    kinds = {tag for tag, _ in outline.elements}
    assert kinds - {"code"} == {tag for tag, _ in clean.elements} - {"code"}
    assert Counter(tag for tag, _ in outline.elements)["script"] == 1
    assert outline.unbalanced == []
    assert not [name for _, found in outline.elements for name in found if name.startswith("on")]
    assert outline.text.count("<script>alert(1)</script>") > 10
    assert csv_links(page)["samples"][0]["host"] == HOSTILE


def test_refusals_are_shown_with_what_to_do() -> None:
    page = page_of(table_of([*family(), *family(provenance=Provenance.COUNTER, seed=1)]))
    (refusal,) = re.findall(r'<li class="refusal">(.*?)</li>', page)
    assert "figures differ in energy provenance" in refusal
    assert "<code>--where energy_provenance=counter</code>" in refusal
    assert "not answered" in refusal


def test_one_case_is_shown_with_nothing_to_compare() -> None:
    text = Outline(page_of(table_of([make_result()]))).text
    assert "Nothing to compare yet" in text
    assert "1 case, 1 sample, 1 host, suite ci" in text


def test_two_hosts_are_told_apart_in_the_table_of_cases() -> None:
    results = [make_result(host=host) for host in ("one", "other")]
    (part, *_) = sections(find(*table_of(results), {}))
    (table,) = part.tables
    assert [[cell.text for cell in row[:2]] for row in table.rows] == [
        ["default-simple_cnn-torch-digits", "one"],
        ["default-simple_cnn-torch-digits", "other"],
    ]


def test_a_table_with_nothing_but_what_is_needed_is_rendered() -> None:
    rows, _ = table_of([*family(), *searches("random", "grid")])
    empty = dict.fromkeys((*METRICS, *TAGS))
    bare = [{**empty, **{name: row[name] for name in NEEDED}, "size": row["size"]} for row in rows]
    text = Outline(page_of((bare, []))).text
    assert "of unknown origin" in text
    assert "simple_cnn.l reaches" in text
    assert "no trials" in text


def test_results_that_all_failed_are_rendered() -> None:
    failed = make_result(trials=[make_trial(accuracy=None)], energy_j=None)
    text = Outline(page_of(table_of([failed]))).text
    assert "default-simple_cnn-torch-digits" in text
    assert "Nothing to compare yet" in text


def test_figures_are_drawn_for_the_first_and_tables_have_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("greenbench.reports.page.MOST_FIGURES", 2)
    rows, trials = table_of(family(repeats=1))
    many = [{**row, "setting": f"digits+{i}", "case_hash": f"{row['case_hash']}{i}"}
            for i in range(10) for row in rows]  # fmt: skip
    findings = find(many, trials, {})
    parts = sections(findings)
    (part,) = [part for part in parts if part.name == "returns"]
    assert len(part.figures) == 2
    assert len(part.tables[0].rows) == 50
    text = Outline(render(findings, parts, [])).text
    assert "Figures are those of the first 2; the tables have all." in text
    assert "2 more verdicts" in text


def test_the_page_says_nothing_that_is_not_in_its_input(page: str) -> None:
    # Neither a date nor a path: equal input, equal page.
    assert not re.search(r"20\d\d-\d\d-\d\d|/home/|/tmp/", page)


@pytest.mark.slow
def test_500_cases_make_a_page_of_less_than_2_mb() -> None:
    results = [
        make_result(
            Case(strategy, f"family{i}", backend, size=f"s{size}", trials=trials),
            repeat=repeat,
            accuracy=0.9 + size / 100 + (i * repeat) % 7 / 1000,
            trials=[
                make_trial(
                    t,
                    accuracy=0.85 + size / 100 + (i * repeat * t) % 7 / 1000,
                    energy_j=10 * 2.5**size * (1 + i / 30) * (1 + repeat / 100 + t / 300),
                )
                for t in range(trials)
            ],
        )
        for strategy, trials in (("default", 1), ("random", 4))
        for i in range(25)
        for backend in ("torch", "keras")
        for size in range(5)
        for repeat in range(5)
    ]
    rows, trials = table_of(results)
    for number, row in enumerate(rows):
        row["run_id"] = f"{number * 2654435761 % 2**128:032x}"
    findings = find(rows, trials, MACHINE)
    page = render(findings, sections(findings), NOTES)
    assert len(findings.cases) == 500
    assert len(page.encode()) < 2_000_000
    assert json.dumps(len(csv_links(page)["samples"])) == "2500"
