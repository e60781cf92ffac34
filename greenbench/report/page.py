"""The page: sections, figures and tables as one HTML file that needs nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from greenbench import __version__
from greenbench.report import content
from greenbench.report.canvas import COLOURS, Figure
from greenbench.report.figures import (
    anytime_figure,
    factors_figure,
    front_figure,
    returns_figure,
)
from greenbench.report.findings import Findings
from greenbench.report.table import Table

MOST_FIGURES = 12
DARK = {
    "ink": "#e8eaeb",
    "muted": "#9aa2a7",
    "line": "#3a4044",
    "paper": "#15181a",
    "series-1": "#56b4e9",
    "series-2": "#f0964b",
    "series-3": "#3ccf9f",
    "series-4": "#e39ac6",
    "series-5": "#e3c44a",
    "series-6": "#a5a8f0",
}


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes
    ----------
    name, title, text : str
        Its anchor, heading, and what it shows.
    figures, tables : tuple
        In order.
    """

    name: str
    title: str
    text: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]


def sections(findings: Findings) -> list[Section]:
    """Return the parts that the findings have something for."""
    returns, strategies = findings.returns, findings.strategies
    explained = [answer for answer in findings.factors if answer.effects]
    found = [
        Section(
            "front",
            "Accuracy against energy",
            "A case is on the Pareto front if no comparable case has at least its accuracy for "
            "less energy; dominated cases are grey crosses. Bars are 95% intervals.",
            _figures("front", front_figure, findings.fronts),
            (content.cases_table(findings),),
        ),
        Section(
            "returns",
            "Diminishing returns",
            "What each larger size adds in points of accuracy, and how many times the energy it "
            "takes. The shaded band is within the tolerance of the best; the ring is the choice. "
            "p is that of a size being further than the tolerance below another one.",
            _figures("returns", returns_figure, returns),
            _tables("returns", content.returns_table, returns),
        ),
        Section(
            "strategies",
            "Search strategies",
            "Best validation accuracy so far against the energy spent: median and quartiles over "
            "searches. The dotted line is the target. Equal energy and equal trials are two "
            "questions.",
            _figures("strategies", anytime_figure, strategies),
            _tables("strategies", content.strategies_table, strategies),
        ),
        Section(
            "factors",
            "Where the energy goes",
            "Shares of variance that kinds of layers and their interactions explain.",
            (factors_figure("factors", explained),) if explained else (),
            _tables("factors", content.factors_table, findings.factors),
        ),
        Section(
            "backends",
            "Backends",
            "Pairs of repeats that ran in the same round.",
            (),
            _tables("backends", content.ratios_table, findings.ratios),
        ),
        Section(
            "ratios",
            "Cases against the one of least energy",
            "Shading grows with the distance from 1, above or below it.",
            (),
            tuple(content.ratios_to_baseline(findings)),
        ),
        Section(
            "environment",
            "Machines and software",
            "",
            (),
            (content.environments_table(findings),) if findings.environments else (),
        ),
    ]
    return [section for section in found if section.figures or section.tables]


def _figures(
    name: str, make: Callable[[str, Any], Figure], answers: Sequence[Any]
) -> tuple[Figure, ...]:
    shown = enumerate(answers[:MOST_FIGURES], 1)
    return tuple(make(f"{name}-{number}", answer) for number, answer in shown)


def _tables(
    name: str, make: Callable[[str, Any], Table], answers: Sequence[Any]
) -> tuple[Table, ...]:
    return tuple(make(f"{name}-{number}", answer) for number, answer in enumerate(answers, 1))


def render(findings: Findings, parts: list[Section], notes: list[str]) -> str:
    """Return the page.

    Parameters
    ----------
    findings : Findings
        What is reported.
    parts : list of Section
        As `sections` gives them.
    notes : list of str
        Provenance and marks in words.
    """
    assets = files("greenbench.report")
    style = (assets / "style.css").read_text(encoding="utf-8")
    script = (assets / "script.js").read_text(encoding="utf-8")
    hosts = len({str(row["host"]) for row in findings.rows})
    suites = ", ".join(sorted({str(row["suite"]) for row in findings.rows}))
    subtitle = (
        f"{len(findings.cases)} cases, {len(findings.rows)} samples, {hosts} "
        f"host{'s' if hosts != 1 else ''}, suite {suites}. greenbench {__version__}."
    )
    links = "".join(f'<a href="#{part.name}">{escape(part.title)}</a>' for part in parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>greenbench report: {escape(suites)}</title>
<style>
:root {{ {_variables(COLOURS)} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
{style}</style>
</head>
<body>
<header>
<h1>What training cost, and what it gave</h1>
<p>{escape(subtitle)}</p>
<nav>{links}</nav>
</header>
<main>
<section id="verdicts">
<h2>Verdicts</h2>
{_verdicts(findings)}
<div class="notes">{"".join(f"<p>{escape(note)}</p>" for note in notes)}</div>
<p>Every sample with every figure: {content.samples_table(findings).link}</p>
</section>
{"".join(map(_section, parts))}
</main>
<div id="tip" role="status" hidden></div>
<script>
{script}</script>
</body>
</html>
"""


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


def _verdicts(findings: Findings) -> str:
    found = content.verdicts(findings)
    if not found:
        return "<p>Nothing to compare yet: run a family of sizes, or two strategies.</p>"
    items = "\n".join(map(_verdict, found))
    return f'<ul class="verdicts">\n{items}\n</ul>'


def _verdict(verdict: content.Verdict) -> str:
    context = f"<small>{escape(verdict.context)}</small> " if verdict.context else ""
    label = f" <em>{escape(verdict.label)}</em>" if verdict.label else ""
    return f"<li>{context}{escape(verdict.text)}{label}</li>"


def _section(section: Section) -> str:
    more = len(section.tables) - MOST_FIGURES
    omitted = (
        f" Figures of the first {MOST_FIGURES}; the other {more} are tables."
        if section.figures and more > 0
        else ""
    )
    figures = "\n".join(
        f'<figure><figcaption>{escape(figure.title)}</figcaption><div class="scroll drawing" '
        f'tabindex="0" role="region" aria-label="{escape(figure.title)}">{figure.page_svg}</div>'
        "</figure>"
        for figure in section.figures
    )
    tables = "\n".join(table.html for table in section.tables)
    return (
        f'<section id="{section.name}">\n<h2>{escape(section.title)}</h2>\n'
        f"<p>{escape(section.text + omitted)}</p>\n"
        f'<div class="figures">{figures}</div>\n{tables}\n</section>\n'
    )
