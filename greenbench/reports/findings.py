"""Findings: what all comparers have to say of one table, and what they refuse."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from greenbench.compare.columns import with_options
from greenbench.compare.comparable import ENERGY, SCORED, check_cases, value_of
from greenbench.compare.factors import Factors, compare_factors
from greenbench.compare.front import pareto_front
from greenbench.compare.hosts import names_of
from greenbench.compare.over_hosts import OverHosts, compare_on_hosts
from greenbench.compare.parts import to_pairs
from greenbench.compare.placings import Summary, summarise
from greenbench.compare.ratios import Ratios
from greenbench.compare.returns import SERIES, Returns, compare_returns
from greenbench.compare.samples import Samples, describe_samples, once_each, timed_rows
from greenbench.compare.scaling import DEVICES, Scaling, compare_scaling
from greenbench.compare.stats import Estimate, estimate
from greenbench.compare.strategies import OWN_GROUP, Strategies, compare_strategies
from greenbench.compare.tolerance import Tolerance
from greenbench.errors import NotComparableError
from greenbench.reports.formats import joined, provenance_label
from greenbench.reports.questions import Questions
from greenbench.results.scores import score_of
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import words
from greenbench.text import cleaned
from greenbench.text.programs import cleaned_row

Row = Mapping[str, Any]

MOST_FACTORS = 4
RESPONSES = ("energy_wh", "test_score")
"""Columns that are explained by factors."""

COMPARABLE = ("dataset", *ENERGY, *SCORED)
"""Columns that cases of one front share."""
RATIOS = ("energy_wh", "emissions_g", "duration_s", "test_score", "train_flops", "parameters")
OF_COUNTED = ("energy_wh", "emissions_g")
"""Columns of which only samples whose energy counts are summed up."""
SEARCHED = ("architecture", "backend", "dataset")


@dataclass(frozen=True)
class CaseFigures:
    """What is known of one case.

    Attributes
    ----------
    case_id : str
        Its name.
    row : mapping
        A sample, of known energy if there is one, for columns that all samples share.
    samples : Samples
        All of them, and which count.
    figures : dict of str to Estimate
        Column to median with its range or interval, of those that are known.
    is_on_front : bool
        Whether no comparable case is at least as good for less energy.
    """

    case_id: str
    row: Row
    samples: Samples
    figures: Mapping[str, Estimate]
    is_on_front: bool = False

    @property
    def score(self) -> Score:
        """What it is judged by."""
        return score_of(self.row)

    @property
    def label(self) -> str:
        """Whether its energy is measured or estimated."""
        return provenance_label(self.row["energy_provenance"])


@dataclass(frozen=True)
class Front:
    """Cases whose energies may be put side by side.

    Attributes
    ----------
    title : str
        What they have in common.
    label : str
        Whether their energies are measured or estimated.
    cases : tuple of CaseFigures
        By energy; those without an energy or score are missing.
    """

    title: str
    label: str
    cases: tuple[CaseFigures, ...]

    @property
    def score(self) -> Score:
        """What all cases are judged by."""
        return self.baseline.score

    @property
    def baseline(self) -> CaseFigures:
        """The case of least energy, to which ratios are given."""
        return self.cases[0]


@dataclass(frozen=True)
class Explained:
    """What the options of one family's layers explain.

    Attributes
    ----------
    where : str
        Family, strategy, backend and setting.
    label : str
        Whether the energies are measured or estimated.
    answers : tuple of Factors
        One for each of `RESPONSES`.
    score : Score
        What the responses that are scores are.
    """

    where: str
    label: str
    answers: tuple[Factors, ...]
    score: Score = ACCURACY

    def name_of(self, response: str) -> str:
        """Return what a reader calls one of `RESPONSES`."""
        return "energy" if response == "energy_wh" else f"test {words(self.score)}"


@dataclass(frozen=True)
class Findings:
    """Everything that a report says.

    Attributes
    ----------
    rows : tuple of mapping
        The samples.
    cases : tuple of CaseFigures
        By id.
    fronts : tuple of Front
        One for each set of comparable cases.
    returns, strategies, factors, ratios, scaling : tuple
        Answers of the comparers, of each host apart; empty if the table does not ask the question.
    over_hosts : tuple of OverHosts
        What the ratios of several hosts say together.
    overall : Summary or None
        All groups of strategies together; None if there is at most one.
    refusals : tuple of (str, str)
        What could not be answered, and why.
    environments : dict of str to mapping
        Host to what it is.
    """

    rows: tuple[Row, ...]
    cases: tuple[CaseFigures, ...]
    fronts: tuple[Front, ...]
    returns: tuple[Returns, ...]
    strategies: tuple[Strategies, ...]
    overall: Summary | None
    factors: tuple[Explained, ...]
    ratios: tuple[Ratios, ...]
    refusals: tuple[tuple[str, str], ...]
    environments: Mapping[str, Mapping[str, str]]
    scaling: tuple[Scaling, ...] = ()
    over_hosts: tuple[OverHosts, ...] = ()


def find(
    rows: Iterable[Row],
    trials: Iterable[Row],
    environments: Mapping[str, Mapping[str, str]],
    *,
    tolerance: Tolerance | float | None = None,
    include_disturbed: bool = False,
) -> Findings:
    """Ask all comparers about one table, in whatever order its rows are.

    Parameters
    ----------
    rows, trials : iterable of mapping
        Results and their trials, as `greenbench.results.table` gives them.
    environments : mapping
        Host to what it is.
    tolerance : Tolerance or float, optional
        How far a score may be below the best; see `greenbench.compare.tolerance`.
    include_disturbed : bool
        Whether the energy of disturbed samples counts.
    """
    # The one place where names come in: below, a figure or a table may show any of them.
    rows = sorted(map(cleaned_row, rows), key=_place)
    trials = sorted(map(cleaned_row, trials), key=_place)
    questions = Questions(names_of(rows))
    cases = _cases(rows, include_disturbed)
    fronts = _fronts(cases)
    judged = {id(case.samples): case for front in fronts for case in front.cases}
    returns, strategies, factors, ratios, scaling = _ask(
        questions, rows, trials, tolerance, {"include_disturbed": include_disturbed}
    )
    return Findings(
        rows=tuple(rows),
        cases=tuple(judged.get(id(case.samples), case) for case in cases),
        fronts=fronts,
        returns=returns,
        strategies=strategies,
        overall=summarise(strategies) if len(strategies) > 1 else None,
        factors=factors,
        ratios=tuple(each for each in ratios if isinstance(each, Ratios)),
        refusals=tuple(questions.refusals),
        environments=cleaned(environments),
        scaling=scaling,
        over_hosts=tuple(each for each in ratios if isinstance(each, OverHosts)),
    )


def _ask(
    questions: Questions,
    rows: Sequence[Row],
    trials: Sequence[Row],
    tolerance: Tolerance | float | None,
    counting: Mapping[str, Any],
) -> tuple[tuple[Any, ...], ...]:
    """Return what comparers say of returns, strategies, factors, backends and devices."""
    returns = questions.ask(
        "diminishing returns",
        _grouped(rows, SERIES),
        lambda _, members: compare_returns(members, tolerance=tolerance, **counting),
    )
    strategies = questions.ask(
        "strategies",
        _searches(rows, trials),
        lambda key, members: _strategies(
            _grouped(rows, SEARCHED)[key], members, tolerance=tolerance, **counting
        ),
    )
    factors = questions.ask(
        "factors",
        _grouped([row for row in rows if _options(row)], SERIES),
        lambda where, members: _explained(where, members, counting),
    )
    ratios = questions.ask(
        "backends",
        {(): rows} if _is_compared(rows) else {},
        lambda _, members: compare_on_hosts(members, "backend", **counting).answers,
    )
    scaling = questions.ask(
        "scaling",
        {(): to_pairs(rows, DEVICES)} if _is_scaled(rows) else {},
        lambda _, members: compare_scaling(members, **counting),
    )
    return returns, strategies, factors, ratios, scaling


def _place(row: Row) -> tuple[Any, ...]:
    texts = (str(row.get(name)) for name in ("case_id", "case_hash", *COMPARABLE, "session"))
    return (*texts, *(float(row.get(name) or 0) for name in ("repeat", "trial")))


def _grouped(rows: Iterable[Row], columns: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(value_of(row, name) or "") for name in columns), []).append(row)
    return groups


def _cases(rows: Sequence[Row], include_disturbed: bool) -> list[CaseFigures]:
    found = []
    # One case on two hosts is two lines.
    how = ["energy_provenance", "energy_scope"]
    apart = ("case_id", "case_hash", *(name for name in COMPARABLE if name not in how))
    for members in _grouped(rows, apart).values():
        known = _grouped([r for r in members if r["energy_wh"] is not None], how)
        unknown = [row for row in members if row["energy_wh"] is None]
        # A sample whose energy is unknown belongs to those whose energy is known.
        first, *others = list(known.values()) or [[]]
        found += [_case(each, include_disturbed) for each in ([*first, *unknown], *others)]
    return found


def _case(rows: Sequence[Row], include_disturbed: bool) -> CaseFigures:
    samples = describe_samples(rows, include_disturbed=include_disturbed)
    figures = {}
    for column in RATIOS:
        chosen = samples.counted if column in OF_COUNTED else rows
        if column == "duration_s":
            chosen = timed_rows(rows, include_disturbed=include_disturbed)
        if column == "test_score":
            chosen = once_each(rows)
        if known := [row[column] for row in chosen if row[column] is not None]:
            figures[column] = estimate(known)
    return CaseFigures(str(rows[0]["case_id"]), rows[0], samples, figures)


def _fronts(cases: Sequence[CaseFigures]) -> tuple[Front, ...]:
    groups: dict[tuple[str, ...], list[CaseFigures]] = {}
    for case in cases:
        if {"energy_wh", "test_score"} <= case.figures.keys():
            key = tuple(str(value_of(case.row, name)) for name in COMPARABLE)
            groups.setdefault(key, []).append(case)
    several = [len(set(values)) > 1 for values in zip(*groups, strict=True)]
    return tuple(_front(members, _title(key, several)) for key, members in sorted(groups.items()))


def _title(key: Sequence[str], several: Sequence[bool]) -> str:
    """Return the data set, and meter, host and threads if there are others."""
    named = dict(zip(COMPARABLE, zip(key, several, strict=True), strict=True))
    apart = [f"{name} {named[name][0]}" for name in ("meter", "host", "threads") if named[name][1]]
    return joined(key[0], *apart)


def _front(cases: Sequence[CaseFigures], title: str) -> Front:
    ordered = sorted(cases, key=lambda case: case.figures["energy_wh"].median)
    are_on_front = pareto_front(
        [case.figures["energy_wh"].median for case in ordered],
        [case.score.gain(case.figures["test_score"].median) for case in ordered],
    )
    judged = [
        replace(case, is_on_front=is_on) for case, is_on in zip(ordered, are_on_front, strict=True)
    ]
    return Front(title, ordered[0].label, tuple(judged))


def _searches(rows: Sequence[Row], trials: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Return trials by what strategies are compared on; none if there is nothing to compare."""
    return {
        key: _grouped(trials, SEARCHED).get(key, [])
        for key, members in _grouped(rows, SEARCHED).items()
        if len({row["strategy"] for row in members}) > 1
    }


def _strategies(rows: Sequence[Row], trials: Sequence[Row], **options: Any) -> list[Strategies]:
    check_cases(rows)
    if not trials:
        raise NotComparableError(
            "the table has no trials; run it with this version of greenbench to have them"
        )
    return compare_strategies(trials, group=OWN_GROUP, **options)


def _options(row: Row) -> dict[str, Any]:
    return dict(json.loads(row["options"] or "{}"))


def _explained(
    where: tuple[str, ...], rows: Sequence[Row], counting: Mapping[str, Any]
) -> list[Explained]:
    """Return what the options of architectures explain, if they vary."""
    names = sorted({name for row in rows for name in _options(row)})
    table = with_options([dict(row) for row in rows])
    varied = [name for name in names if len({str(row.get(name)) for row in table}) > 1]
    if not varied:
        return []
    if len(varied) > MOST_FACTORS:
        raise NotComparableError(
            f"{len(varied)} options vary ({', '.join(varied)}), which is more than "
            f"{MOST_FACTORS}; choose some: `greenbench compare factors --factors …`"
        )
    provenances = {row["energy_provenance"] for row in rows if row["energy_wh"] is not None}
    answers = [compare_factors(table, varied, response, **counting) for response in RESPONSES]
    label = provenance_label(*provenances)
    return [Explained(joined(*where), label, tuple(answers), score_of(rows[0]))]


def _is_compared(rows: Sequence[Row]) -> bool:
    """Return whether anything was run on two backends."""
    groups = _grouped(rows, ("strategy", "architecture", "setting"))
    return any(len({row["backend"] for row in members}) > 1 for members in groups.values())


def _is_scaled(rows: Sequence[Row]) -> bool:
    """Return whether anything was trained on two numbers of devices."""
    return len({str(value_of(row, DEVICES)) for row in rows}) > 1
