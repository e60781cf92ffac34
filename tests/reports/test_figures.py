from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib.transforms import Bbox

from greenbench.cases import Case
from greenbench.compare.front import pareto_front
from greenbench.reports.axes import EnergyAxes
from greenbench.reports.canvas import COLOURS, SVG, Canvas, Figure, Look, draw
from greenbench.reports.figures import (
    anytime_figure,
    factors_figure,
    front_figure,
    returns_figure,
)
from greenbench.reports.findings import Findings, Front, find
from greenbench.reports.page import DARK
from greenbench.results.readings import Provenance
from tests.builders import make_result
from tests.reports.tables import Table, everything, family, table_of

AA = 4.5
HOSTILE = "<script>alert(1)</script> & \"q\" 'a' $x_1$ #0071b1 url(#a)"


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, by WCAG 2."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * s for w, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def blended(colour: str, paper: str, share: float) -> str:
    pairs = ((int(c[i : i + 2], 16) for c in (colour, paper)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in pairs)


def fronts_of(table: Table) -> tuple[Front, ...]:
    return find(*table, {}).fronts


def texts(svg: str | bytes) -> list[str]:
    return ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter(f"{{{SVG}}}text")]


def tips(figure: Figure) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(figure.page_svg).iter(f"{{{SVG}}}title")]


@pytest.fixture(scope="module")
def findings() -> Findings:
    return find(*everything(), {})


@pytest.fixture(scope="module")
def figure(findings: Findings) -> Figure:
    return front_figure("front-1", findings.fronts[0])


@pytest.mark.parametrize("palette", [COLOURS, DARK], ids=["light", "dark"])
def test_texts_can_be_read_on_the_page_and_on_shaded_cells(palette: dict[str, str]) -> None:
    paper = palette["paper"]
    for name, colour in palette.items():
        # Series 1 writes links, 2 marks refusals; figures write in ink and muted.
        if name not in ("paper", "line"):
            assert contrast(colour, paper) >= AA, name
    for name in ("series-1", "series-2"):
        darkest = blended(palette[name], paper, 0.45)
        assert contrast(palette["ink"], darkest) >= AA, name


def test_series_differ_without_colour() -> None:
    looks = [Look.of(number) for number in range(36)]
    assert len({(look.colour, look.marker) for look in looks}) == 36
    for one, other in combinations(looks[:6], 2):
        assert one.dash != other.dash
        assert one.marker != other.marker
        assert one.hatch != other.hatch


def test_cases_of_the_front_are_round_and_dominated_ones_are_not(figure: Figure) -> None:
    root = ElementTree.fromstring(figure.page_svg)
    curved = {f"#{e.get('id')}": "C" in str(e.get("d")) for e in root.iter(f"{{{SVG}}}path")}
    are_round: dict[str, set[bool]] = {"on the front": set(), "dominated": set()}
    for group in root.iter(f"{{{SVG}}}g"):
        if group.get("class") == "tip":
            title = group.findtext(f"{{{SVG}}}title") or ""
            (use,) = group.iter(f"{{{SVG}}}use")
            are_round[title.split(", ")[-2]].add(curved[str(use.get("href"))])
    assert are_round == {"on the front": {True}, "dominated": {False}}


def test_a_front_says_what_each_mark_is(findings: Findings, figure: Figure) -> None:
    (front,) = findings.fronts
    assert len(tips(figure)) == len(front.cases)
    least = front.baseline.figures
    accuracy, energy_wh = least["test_score"].median, least["energy_wh"].median
    said = f"default-simple_cnn.xs-torch-digits: {accuracy:.1%} for {1000 * energy_wh:.3g} mWh"
    assert f"{said}, on the front, n = 5" in tips(figure)
    count = sum(case.is_on_front for case in front.cases)
    assert f"{count} of {len(front.cases)} cases are on the Pareto front" in figure.alternative
    assert "default-simple_cnn.xl-torch-digits: " in figure.alternative


@pytest.mark.parametrize("provenance", [Provenance.COUNTER, Provenance.MODEL])
def test_every_figure_with_an_energy_says_whether_it_is_measured(provenance: Provenance) -> None:
    rows, trials = everything()
    for row in rows + trials:
        row["energy_provenance"] = provenance.value
    found = find(rows, trials, {})
    right, wrong = sorted(("measured", "estimated"), key=lambda label: label != provenance.label)
    figures = [
        front_figure("a", found.fronts[0]),
        returns_figure("b", found.returns[0]),
        anytime_figure("c", found.strategies[0]),
        factors_figure("d", found.factors[0]),
    ]
    for figure in figures:
        assert f"(energy {right})" in figure.title
        assert figure.alternative.startswith(figure.title)
        assert wrong not in figure.title + figure.alternative + figure.page_svg
    for figure in figures[:3]:
        assert any(f"({right}), log scale" in text for text in texts(figure.page_svg))


def test_returns_show_sizes_steps_knee_and_choice(findings: Findings) -> None:
    returns = next(each for each in findings.returns if each.backend == "torch")
    figure = returns_figure("returns-1", returns)
    shown = texts(figure.page_svg)
    for text in ("xs", "xl", "choice", "knee", "within 1 point of the best"):
        assert text in shown
    (first, second) = returns.sizes[:2]
    gained = 100 * (second.score.median - first.score.median)
    ratio = second.energy_wh.median / first.energy_wh.median
    assert f"{gained:+.1f}, ×{ratio:.2f}" in shown
    assert returns.sentence in figure.alternative


def test_anytime_curves_say_where_they_end(findings: Findings) -> None:
    (found,) = [each for each in findings.strategies if len(each.strategies) > 2]
    figure = anytime_figure("a", found)
    assert [tip.partition(":")[0] for tip in tips(figure)] == [s.strategy for s in found.strategies]
    assert any(text.startswith("target, ") for text in texts(figure.page_svg))


def test_shares_of_variance_add_up_to_all(findings: Findings) -> None:
    (explained,) = findings.factors
    said = tips(factors_figure("f", explained))
    for response in ("energy", "test accuracy"):
        shares = [tip.split(": ")[1] for tip in said if tip.endswith(f" of {response}")]
        assert sum(float(share.partition("%")[0]) for share in shares) == pytest.approx(
            100, abs=0.3
        )


def test_files_say_what_they_show(figure: Figure) -> None:
    assert figure.title in figure.svg.decode()
    assert b"Pareto front: default-" in figure.svg
    assert figure.png.startswith(b"\x89PNG")
    assert b"Pareto front: default-" in figure.png


def test_equal_figures_are_equal_bytes_whatever_a_users_own_settings(
    findings: Findings, figure: Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    (front,) = findings.fronts
    monkeypatch.setitem(mpl.rcParams, "font.size", 30)
    monkeypatch.setitem(mpl.rcParams, "axes.labelsize", 30)
    assert front_figure("front-1", front) == figure
    assert mpl.rcParams["font.size"] == 30


def test_names_are_texts_and_neither_markup_formulas_nor_colours() -> None:
    table = table_of([make_result()], case_id=HOSTILE, architecture=HOSTILE, dataset=HOSTILE)
    (front,) = fronts_of(table)
    figure = front_figure("front-1", front)
    (tip,) = tips(figure)
    assert tip.startswith(HOSTILE)
    for svg in (figure.page_svg, figure.svg):
        # A label that finds no room is left out; the title of a file is wrapped.
        assert "<script" not in svg if isinstance(svg, str) else b"<script" not in svg
    short = table_of([make_result()], architecture="$x_1$ <&>")
    (front,) = fronts_of(short)
    assert "$x_1$ <&>" in texts(front_figure("f", front).page_svg)


def test_two_figures_of_a_page_share_no_ids(findings: Findings, figure: Figure) -> None:
    other = front_figure("front-2", findings.fronts[0])
    ids = [
        {element.get("id") for element in ElementTree.fromstring(each.page_svg).iter()} - {None}
        for each in (figure, other)
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_colours_in_a_page_are_the_pages(figure: Figure) -> None:
    svg = figure.page_svg
    assert not [colour for colour in COLOURS.values() if colour in svg]
    assert "var(--ink)" in svg


@pytest.mark.parametrize("energies_j", [[36.0], [36.0, 36.0], [36.0, 37.0]])
def test_an_axis_of_few_energies_has_figures_on_both_sides(energies_j: list[float]) -> None:
    results = [
        replace(result, case=replace(result.case, architecture=f"net{i}"))
        for i, result in enumerate(make_result(energy_j=energy) for energy in energies_j)
    ]
    (front,) = fronts_of(table_of(results))
    shown = texts(front_figure("f", front).page_svg)
    ticks = [float(text) for text in shown if text.replace(".", "").isdigit() and float(text) < 50]
    # Of mWh; accuracies are above 50.
    assert min(ticks) < min(energies_j) / 3.6
    assert max(ticks) > max(energies_j) / 3.6
    assert len(ticks) <= 8


def test_labels_have_a_budget_where_it_tells_cases_apart() -> None:
    def labels(*cases: Case) -> list[str]:
        results = [
            make_result(case, energy_j=36.0 * 9**i, accuracy=0.8 + i / 10)
            for i, case in enumerate(cases)
        ]
        (front,) = fronts_of(table_of(results))
        return [text for text in texts(front_figure("f", front).page_svg) if "_cnn" in text]

    short, other = Case(epochs=1), Case("grid", backend="keras", epochs=1)
    assert labels(short, other) == ["simple_cnn grid keras", "simple_cnn"]
    assert labels(short, Case(epochs=2)) == ["simple_cnn epochs2", "simple_cnn epochs1"]


def test_nothing_is_drawn_above_full_accuracy() -> None:
    (front,) = fronts_of(table_of([make_result(accuracy=1.0)]))
    shown = texts(front_figure("f", front).page_svg)
    # Energies are below 50 mWh.
    assert max(float(text) for text in shown if text.replace(".", "").isdigit()) == 100


def test_energies_of_nothing_are_left_out_of_a_log_axis() -> None:
    results = [
        replace(result, case=replace(result.case, architecture=f"net{i}"))
        for i, result in enumerate(make_result(energy_j=energy) for energy in (0.0, 36.0, 72.0))
    ]
    (front,) = fronts_of(table_of(results))
    assert len(front.cases) == 3
    assert len(tips(front_figure("f", front))) == 2
    (front,) = fronts_of(table_of(results[:1]))
    assert tips(front_figure("f", front)) == []


def test_labels_cover_neither_each_other_nor_points() -> None:
    boxes: list[Bbox] = []
    places: list[tuple[float, float]] = []
    energies = [1.0 + i / 50 for i in range(40)]
    accuracies = [0.9 + i / 1000 for i in range(40)]

    def on(canvas: Canvas) -> None:
        axes = EnergyAxes(canvas, energies, "estimated")
        points = [axes.at(*point) for point in zip(energies, accuracies, strict=True)]
        axes.plot.plot(*zip(*points, strict=True), "o")
        axes.settle()
        axes.avoid(points)
        for number, point in enumerate(points):
            axes.label(f"a long name {number}", point, ((-6, 5), (7, -5)))
        boxes.extend(label.get_window_extent() for label in axes.plot.texts)
        places.extend(axes.plot.transData.transform(points))

    draw("f", "title", "alternative", on)
    assert 2 <= len(boxes) < 40
    assert not [1 for one, other in combinations(boxes, 2) if one.overlaps(other)]
    assert not [1 for box in boxes for place in places if box.contains(*place)]


def test_a_front_of_one_family_is_that_of_pareto() -> None:
    (front,) = fronts_of(table_of(family()))
    energies = [case.figures["energy_wh"].median for case in front.cases]
    accuracies = [case.figures["test_score"].median for case in front.cases]
    assert energies == sorted(energies)
    assert [case.is_on_front for case in front.cases] == pareto_front(energies, accuracies)
