"""What the gate says, for other programs: JSON, JUnit, GitHub and dashboards, all as text."""

import math
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from greenbench.compare.brackets import bracket
from greenbench.compare.samples import describe_samples, is_left_out
from greenbench.compare.stats import Estimate, estimate
from greenbench.gate.judgement import Judgement, Judgements, Verdict
from greenbench.gate.metrics import METRICS, Kind
from greenbench.gate.wording import (
    compared_text,
    counts_text,
    limit_text,
    sentence,
    value_text,
)
from greenbench.results.readings import Provenance
from greenbench.text import clean
from greenbench.text.programs import in_markdown, strict_json, workflow_command

Row = Mapping[str, Any]

SCHEMA = 1
MOST_ANNOTATIONS = 10  # of one level, that GitHub shows of a step
MOST_IN_ANNOTATION = 10
LARGEST_SUMMARY = 1_000_000  # bytes; GitHub drops what is above 1 MiB
SUMMARY_TAIL = 4_000  # bytes, for what is said below the rows

WORST_FIRST = tuple(reversed(Verdict))
HEADINGS: Mapping[Verdict, str] = {
    Verdict.FAIL: "The gate fails: a budget is violated",
    Verdict.WARN: "The gate passes, with warnings",
    Verdict.INCONCLUSIVE: "The gate cannot tell",
    Verdict.PASS: "The gate passes",
}
WORDS: Mapping[Verdict, str] = {
    Verdict.FAIL: "violated",
    Verdict.WARN: "warning",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.PASS: "passed",
}
COMMANDS: Mapping[Verdict, str] = {
    Verdict.FAIL: "error",
    Verdict.WARN: "warning",
    Verdict.INCONCLUSIVE: "notice",
}
FIGURES: Mapping[str, str] = {
    "energy_wh": "Wh",
    "emissions_g": "g CO2e",
    "duration_s": "s",
    "train_flops": "FLOP",
}
"""Columns that dashboards get, smaller is better, and their units."""
ENERGIES = ("energy_wh", "emissions_g")


def counted(found: Judgements) -> str:
    """Return how many limits have which verdict, in words, the worst first."""
    numbers = Counter(each.verdict for each in found.all)
    said = [_number(numbers[verdict], verdict) for verdict in WORST_FIRST if numbers[verdict]]
    return ", ".join(said) or "nothing was judged"


def _number(number: int, verdict: Verdict) -> str:
    plural = "s" if verdict is Verdict.WARN and number != 1 else ""
    return f"{number} {WORDS[verdict]}{plural}"


def worst_first(found: Judgements, *, with_passes: bool = True) -> list[Judgement]:
    """Return the judgements by verdict, the worst first, else in their order."""
    verdicts = [v for v in WORST_FIRST if with_passes or v is not Verdict.PASS]
    return [each for verdict in verdicts for each in found.of(verdict)]


def to_json(found: Judgements) -> str:
    """Return everything that the gate says, as strict JSON.

    Parameters
    ----------
    found : Judgements
        What was judged.

    Returns
    -------
    str
        An object with ``schema``, ``verdict``, ``baseline``, ``notes`` and ``judgements``, each
        with all its fields and its ``sentence``; null where a figure is not finite.
    """
    judgements = [
        {**asdict(each), "score": _score(each), "sentence": sentence(each)} for each in found.all
    ]
    said = {
        "schema": SCHEMA,
        "verdict": found.verdict,
        "baseline": found.baseline,
        "notes": found.notes,
        "judgements": judgements,
    }
    return strict_json(said)


def _score(found: Judgement) -> dict[str, Any] | None:
    """Return what a limit on a score is about; nothing of other metrics."""
    is_score = METRICS[found.metric].kind is Kind.SCORE
    return found.score.to_dict() if is_score else None


def to_junit(found: Judgements) -> str:
    """Return JUnit's XML: a violation is a failure, doubt is skipped, a warning passes and is said.

    Parameters
    ----------
    found : Judgements
        A test case each, named after metric and rule, in the class of its case id.
    """
    failures, skipped = (len(found.of(v)) for v in (Verdict.FAIL, Verdict.INCONCLUSIVE))
    numbers = {"tests": len(found.all), "failures": failures, "errors": 0, "skipped": skipped}
    shown = {name: str(number) for name, number in numbers.items()}
    root = ET.Element("testsuites", shown)
    suite = ET.SubElement(root, "testsuite", {"name": "greenbench gate", **shown})
    if found.baseline is not None:
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", {"name": "baseline", "value": clean(found.baseline)})
    for each in found.all:
        _add_case(suite, each)
    if found.notes:
        ET.SubElement(suite, "system-out").text = "\n".join(map(clean, found.notes))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, found: Judgement) -> None:
    name = {"classname": clean(found.case_id), "name": clean(f"{found.metric} {found.rule}")}
    case, said = ET.SubElement(suite, "testcase", name), sentence(found)
    if found.verdict is Verdict.FAIL:
        ET.SubElement(case, "failure", {"message": said, "type": "budget"}).text = said
    elif found.verdict is Verdict.INCONCLUSIVE:
        ET.SubElement(case, "skipped", {"message": said})
    elif found.verdict is Verdict.WARN:
        ET.SubElement(case, "system-out").text = said


def to_markdown(found: Judgements) -> str:
    """Return a summary for ``$GITHUB_STEP_SUMMARY``: what did not pass first, passes folded.

    Parameters
    ----------
    found : Judgements
        What was judged.

    Returns
    -------
    str
        Smaller than what GitHub shows; what has no room is counted.
    """
    heading = HEADINGS[found.verdict] if found.all else "The gate judged nothing"
    baseline = f"Baseline: {in_markdown(found.baseline)}." if found.baseline else "No baseline."
    said = f"## {heading}\n\n{counted(found)}. {baseline}\n"
    said += _bounded(
        "".join(f"\n- {in_markdown(note)}" for note in found.notes), LARGEST_SUMMARY // 4
    )
    violations, passes = worst_first(found, with_passes=False), found.of(Verdict.PASS)
    said += _rows(violations, _room(said) // 2)
    sentences = [f"- **{each.verdict}** {in_markdown(sentence(each))}\n" for each in violations]
    said += _fitting("\n", sentences, _room(said), "\n")
    if passes:
        said += f"\n<details><summary>{len(passes)} passed</summary>\n"
        said += _rows(passes, _room(said)) + "\n</details>\n"
    return said


def _room(said: str) -> int:
    return LARGEST_SUMMARY - SUMMARY_TAIL - len(said.encode())


def _bounded(text: str, size: int) -> str:
    return text + "\n" if len(text.encode()) <= size else "\n- too many notes to show\n"


def _rows(found: Sequence[Judgement], room: int) -> str:
    if not found:
        return ""
    names = ("case", "metric", "value", "interval or change", "limit", "verdict", "n")
    head = f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}\n"
    return _fitting(head, [_row(each) for each in found], room, "\n")


def _row(found: Judgement) -> str:
    figures = (value_text(found), compared_text(found), limit_text(found))
    cells = (found.case_id, found.metric, *figures, found.verdict, counts_text(found))
    return f"| {' | '.join(map(in_markdown, cells))} |\n"


def _fitting(head: str, lines: Iterable[str], room: int, end: str) -> str:
    """Return the lines that there is room for, and how many there was none for."""
    lines, kept, size = list(lines), 0, 0
    for line in lines:
        size += len(line.encode())
        if size > room:
            break
        kept += 1
    left = len(lines) - kept
    said = head + "".join(lines[:kept]) if kept else ""
    return said + (f"{end}{left} more did not fit here.\n" if left else "")


def to_annotations(found: Judgements) -> str:
    """Return GitHub's workflow commands: what did not pass, on the lines of its budgets.

    Parameters
    ----------
    found : Judgements
        What was judged.

    Returns
    -------
    str
        One line a budget line and level. GitHub shows ten of each level, so the tenth tells of
        all further ones.
    """
    lines = []
    for verdict, command in COMMANDS.items():
        groups: dict[str, list[Judgement]] = {}
        for each in found.of(verdict):
            groups.setdefault(each.budget, []).append(each)
        named = list(groups.items())
        if len(named) > MOST_ANNOTATIONS:
            first, rest = named[: MOST_ANNOTATIONS - 1], named[MOST_ANNOTATIONS - 1 :]
            named = [*first, (rest[0][0], [each for _, group in rest for each in group])]
        lines += [_annotation(command, budget, group) for budget, group in named]
    return "".join(lines)


def _annotation(command: str, budget: str, found: Sequence[Judgement]) -> str:
    file, _, line = budget.rpartition(":")
    names = dict.fromkeys(f"{each.metric} {each.rule}" for each in found)
    title = f"{_number(len(found), found[0].verdict)}: {', '.join(names)}"
    place = {"file": file, "line": line} if line.isdecimal() else {"file": budget}
    properties = {**place, "title": title}
    said = [sentence(each) for each in found[:MOST_IN_ANNOTATION]]
    more = len(found) - len(said)
    said += [f"and {more} more"] if more else []
    return workflow_command(command, properties, "\n".join(said))


def to_smaller_is_better(rows: Sequence[Row], *, include_disturbed: bool = False) -> str:
    """Return ``customSmallerIsBetter`` JSON for github-action-benchmark.

    Parameters
    ----------
    rows : sequence of row
        One a repeat, as `greenbench.results.table.to_row` gives them.
    include_disturbed : bool
        Whether disturbed samples count, too.

    Returns
    -------
    str
        Medians with their ranges, from six samples on intervals of at least 95%; what is unknown
        is left out. Which of both it is, and how an energy came about, stands in ``extra``.
    """
    said = []
    for figure in _figures(rows, include_disturbed=include_disturbed):
        name, unit = f"{figure.case_id} {figure.column}", FIGURES[figure.column]
        entry = {"name": name, "unit": unit, "value": figure.found.median}
        if bounds := figure.bounds:
            entry["range"] = "{:.4g} to {:.4g}".format(*bounds)
        origin = _origin(figure.rows) if figure.column in ENERGIES else ""
        spread = bracket(figure.found) or ""
        entry["extra"] = "\n".join(filter(None, [f"n = {figure.found.n}", spread, origin]))
        said.append(entry)
    return strict_json(said)


def to_bencher(rows: Sequence[Row], *, include_disturbed: bool = False) -> str:
    """Return Bencher Metric Format: medians by case and column, with ranges or intervals.

    Parameters
    ----------
    rows : sequence of row
        One a repeat, as `greenbench.results.table.to_row` gives them.
    include_disturbed : bool
        Whether disturbed samples count, too.
    """
    said: dict[str, dict[str, dict[str, float]]] = {}
    for figure in _figures(rows, include_disturbed=include_disturbed):
        metric = {"value": figure.found.median}
        if bounds := figure.bounds:
            metric |= dict(zip(("lower_value", "upper_value"), bounds, strict=True))
        said.setdefault(figure.case_id, {})[figure.column] = metric
    return strict_json(said)


@dataclass(frozen=True)
class _Figure:
    """One column of one case: what is known of it, and the rows that count."""

    case_id: str
    column: str
    found: Estimate
    rows: Sequence[Row]

    @property
    def bounds(self) -> tuple[float, float] | None:
        low, high = self.found.low, self.found.high
        return None if low is None or high is None else (low, high)


def _figures(rows: Sequence[Row], *, include_disturbed: bool) -> Iterator[_Figure]:
    """Yield what dashboards get, by case and column."""
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(clean(str(row["case_id"])), []).append(row)
    for case_id, members in cases.items():
        energies = describe_samples(members, include_disturbed=include_disturbed).counted
        calm = [row for row in members if include_disturbed or not is_left_out(row, "duration_s")]
        for column in FIGURES:
            chosen = {"train_flops": members, "duration_s": calm}.get(column, energies)
            known = [row for row in chosen if _is_finite(row.get(column))]
            if known:
                found = estimate([float(row[column]) for row in known])
                yield _Figure(case_id, column, found, known)


def _origin(rows: Sequence[Row]) -> str:
    """Return how energies came about, and by what."""
    found = dict.fromkeys((str(r["energy_provenance"]), str(r["energy_source"])) for r in rows)
    return clean("; ".join(f"energy {Provenance(how).label} ({how}) by {by}" for how, by in found))


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
