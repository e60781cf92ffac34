"""The page: sections, figures and tables as one HTML file that needs nothing else."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from greenbench import __version__
from greenbench.reports import answers, content
from greenbench.reports.about import about
from greenbench.reports.canvas import COLOURS, Figure
from greenbench.reports.devices import hosts_tables, scaling_tables
from greenbench.reports.figures import (
    anytime_figure,
    factors_figure,
    front_figure,
    returns_figure,
)
from greenbench.reports.findings import Findings
from greenbench.reports.table import Table
from greenbench.reports.verdicts import Verdict, in_words, refusals
from greenbench.reports.winners import winners_tables

MOST_FIGURES = 12
MOST_OF_A_KIND = 8
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
# Whatever a name may smuggle in, nothing is fetched.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes
    ----------
    name, title, text : str
        Its anchor, heading, and what it shows.
    figures, tables : sequence
        In order.
    """

    name: str
    title: str
    text: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


def sections(findings: Findings) -> list[Section]:
    """Return the parts that the findings have something for.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    figures, tables = _figures_of(findings), _tables_of(findings)
    found = [
        Section(name, title, text, figures.get(name, ()), tables[name])
        for name, (title, text) in about(findings).items()
    ]
    return [section for section in found if section.figures or section.tables]


def _figures_of(findings: Findings) -> dict[str, list[Figure]]:
    searches = [found for found in findings.strategies if any(s.curve for s in found.strategies)]
    explained = [
        found
        for found in findings.factors
        if any(effect.eta_sq is not None for answer in found.answers for effect in answer.effects)
    ]
    return {
        "front": _figures("front", front_figure, findings.fronts),
        "returns": _figures("returns", returns_figure, findings.returns),
        "strategies": _figures("strategies", anytime_figure, searches),
        "factors": _figures("factors", factors_figure, explained),
    }


def _tables_of(findings: Findings) -> dict[str, Sequence[Table]]:
    return {
        "front": content.cases_tables(findings),
        "found": winners_tables(findings),
        "returns": answers.returns_tables(findings.returns),
        "strategies": answers.strategies_tables(findings),
        "factors": answers.factors_tables(findings.factors),
        "backends": answers.ratios_tables(findings.ratios) + hosts_tables(findings.over_hosts),
        "scaling": scaling_tables(findings.scaling),
        "ratios": content.ratios_to_baseline(findings),
        "environment": [content.environments_table(findings)] if findings.environments else [],
    }


def _figures(name: str, make: Callable[[str, Any], Figure], answers: Sequence[Any]) -> list[Figure]:
    shown = enumerate(answers[:MOST_FIGURES], 1)
    return [make(f"{name}-{number}", answer) for number, answer in shown]


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
    suites = _names(findings, "suite")
    subtitle = (
        f"{_count(findings.cases, 'case')}, {_count(findings.rows, 'sample')}, "
        f"{_count(_names(findings, 'host'), 'host')}, suite {', '.join(suites)}. "
        f"greenbench {__version__}."
    )
    links = "".join(f'<a href="#{part.name}">{escape(part.title)}</a>' for part in parts)
    return f"""<!DOCTYPE html>
<html lang="en">
{_head(suites)}<body>
<header>
<h1>What training cost, and what it gave</h1>
<p>{escape(subtitle)}</p>
<nav>{links}</nav>
</header>
<main>
{_summary(findings, notes)}{"".join(map(_section, parts))}
</main>
<div id="tip" role="status" hidden></div>
<script>
{_asset("script.js")}</script>
</body>
</html>
"""


def _names(findings: Findings, column: str) -> list[str]:
    return sorted({str(row[column] or "unknown") for row in findings.rows})


def _asset(name: str) -> str:
    return (files("greenbench.reports") / name).read_text(encoding="utf-8")


def _head(suites: Sequence[str]) -> str:
    return f"""<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>greenbench report: {escape(", ".join(suites))}</title>
<style>
:root {{ {_variables(COLOURS)} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
{_asset("style.css")}</style>
</head>
"""


def _summary(findings: Findings, notes: Sequence[str]) -> str:
    return f"""<section id="verdicts">
<h2>Verdicts</h2>
{_verdicts(findings)}
<div class="notes">{"".join(f"<p>{_prose(note)}</p>" for note in notes)}</div>
<p class="unprinted">Every sample with every figure: {content.samples_table(findings).link}.
All tables lie in <code>tables</code> beside this file, too, where a viewer forbids downloads.</p>
</section>
"""


def _count(things: Sequence[Any], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


def _prose(text: str) -> str:
    """Return text in which commands stand between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _verdicts(findings: Findings) -> str:
    found, refused = in_words(findings), refusals(findings)
    if not any(found) and not refused:
        return "<p>Nothing to compare yet: run a family of sizes, or two strategies.</p>"
    shown = [verdict for kind in found for verdict in kind[:MOST_OF_A_KIND]]
    more = [verdict for kind in found for verdict in kind[MOST_OF_A_KIND:]]
    if not more:
        return _list([*shown, *refused])
    return (
        f"{_list([*shown, *refused])}<details><summary>{_count(more, 'more verdict')}</summary>"
        f"{_list(more)}</details>"
    )


def _list(found: Sequence[Verdict]) -> str:
    items = "\n".join(map(_verdict, found))
    return f'<ul class="verdicts">\n{items}\n</ul>'


def _verdict(verdict: Verdict) -> str:
    context = f"<small>{escape(verdict.context)}</small> " if verdict.context else ""
    label = f" <em>{escape(verdict.label)}</em>" if verdict.label else ""
    item = '<li class="refusal">' if verdict.is_refusal else "<li>"
    return f"{item}{context}{_prose(verdict.text)}{label}</li>"


def _section(section: Section) -> str:
    omitted = (
        f" Figures are those of the first {MOST_FIGURES}; the tables have all."
        if len(section.figures) == MOST_FIGURES
        else ""
    )
    figures = "\n".join(map(_figure, section.figures))
    tables = "\n".join(table.html for table in section.tables)
    return (
        f'<section id="{section.name}">\n<h2>{escape(section.title)}</h2>\n'
        f"<p>{escape(section.text + omitted)}</p>\n"
        f'<div class="figures">{figures}</div>\n{tables}\n</section>\n'
    )


def _figure(figure: Figure) -> str:
    return f"<figure><figcaption>{escape(figure.title)}</figcaption>{figure.page_svg}</figure>"
