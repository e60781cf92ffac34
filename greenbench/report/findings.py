"""Findings: what all comparers have to say of one table, and what they refuse."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from greenbench.compare.columns import with_options
from greenbench.compare.comparable import ENERGY
from greenbench.compare.factors import Factors, compare_factors
from greenbench.compare.front import pareto_front
from greenbench.compare.ratios import Ratios, compare_ratios
from greenbench.compare.returns import SERIES, TOLERANCE, Returns, compare_returns
from greenbench.compare.samples import Samples, describe_samples
from greenbench.compare.stats import Estimate, estimate
from greenbench.compare.strategies import (
    OWN_GROUP,
    Strategies,
    Summary,
    compare_strategies,
    summarise,
)
from greenbench.errors import GreenbenchError
from greenbench.readings import Provenance

Row = Mapping[str, Any]

MOST_FACTORS = 4
RESPONSES = ("energy_wh", "test_accuracy")
COMPARABLE = ("dataset", *ENERGY)
"""Columns that cases of one front share."""
RATIOS = ("energy_wh", "emissions_g", "duration_s", "test_accuracy", "train_flops", "parameters")


@dataclass(frozen=True)
class CaseFigures:
    """What is known of one case.

    Attributes
    ----------
    case_id : str
        Its name.
    row : mapping
        Its first sample, for columns that all samples share.
    samples : Samples
        All of them, and which count.
    figures : dict of str to Estimate
        Column to median and interval, of those that are known.
    is_on_front : bool
        Whether no comparable case has at least its accuracy for less energy.
    """

    case_id: str
    row: Row
    samples: Samples
    figures: Mapping[str, Estimate]
    is_on_front: bool = False


@dataclass(frozen=True)
class Front:
    """Cases whose energies may be put side by side.

    Attributes
    ----------
    title : str
        What they have in common.
    provenance : Provenance
        Of their energies.
    cases : tuple of CaseFigures
        By energy; those without an energy or accuracy are missing.
    baseline : CaseFigures
        The case of least energy, to which ratios are given.
    """

    title: str
    provenance: Provenance
    cases: tuple[CaseFigures, ...]

    @property
    def baseline(self) -> CaseFigures:
        """The case of least energy."""
        return self.cases[0]


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
    returns, strategies, factors, ratios : tuple
        Answers of the comparers; empty if the table does not ask the question.
    overall : Summary or None
        All groups of strategies together.
    refusals : dict of str to str
        Question to why it was refused.
    environments : dict of str to mapping
        Host to what it is.
    """

    rows: tuple[Row, ...]
    cases: tuple[CaseFigures, ...]
    fronts: tuple[Front, ...]
    returns: tuple[Returns, ...]
    strategies: tuple[Strategies, ...]
    overall: Summary | None
    factors: tuple[Factors, ...]
    ratios: tuple[Ratios, ...]
    refusals: Mapping[str, str]
    environments: Mapping[str, Mapping[str, str]]


def find(
    rows: Sequence[Row],
    trials: Sequence[Row],
    environments: Mapping[str, Mapping[str, str]],
    *,
    tolerance: float = TOLERANCE,
    include_disturbed: bool = False,
) -> Findings:
    """Ask all comparers about one table.

    Parameters
    ----------
    rows, trials : sequence of mapping
        Results and their trials, as `greenbench.table` gives them.
    environments : mapping
        Host to what it is.
    tolerance : float
        How much accuracy may be below the best.
    include_disturbed : bool
        Whether the energy of disturbed samples counts.
    """
    refusals: dict[str, str] = {}

    def ask(question: str, comparer: Callable[[], Sequence[Any]]) -> tuple[Any, ...]:
        try:
            return tuple(comparer())
        except GreenbenchError as error:
            refusals[question] = str(error)
            return ()

    counting: dict[str, Any] = {"include_disturbed": include_disturbed}
    cases = _cases(rows, include_disturbed)
    fronts = _fronts(cases)
    on_front = {id(case.samples) for front in fronts for case in front.cases if case.is_on_front}
    strategies: tuple[Strategies, ...] = ask(
        "strategies",
        lambda: compare_strategies(trials, group=OWN_GROUP, tolerance=tolerance, **counting),
    )
    explained, factors = _factors(rows)
    return Findings(
        rows=tuple(rows),
        cases=tuple(
            CaseFigures(**{**vars(case), "is_on_front": id(case.samples) in on_front})
            for case in cases
        ),
        fronts=fronts,
        returns=tuple(
            answer
            for family, members in _families(rows).items()
            for answer in ask(
                f"returns of {family}",
                partial(compare_returns, members, tolerance=tolerance, **counting),
            )
        ),
        strategies=strategies,
        overall=summarise(strategies) if strategies else None,
        factors=ask(
            "factors",
            lambda: (
                [compare_factors(explained, factors, each, **counting) for each in RESPONSES]
                if factors
                else ()
            ),
        ),
        ratios=ask(
            "backends",
            lambda: [compare_ratios(rows, "backend", **counting)] if _is_compared(rows) else (),
        ),
        refusals=refusals,
        environments=environments,
    )


def _cases(rows: Sequence[Row], include_disturbed: bool) -> list[CaseFigures]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        # One case on two hosts is two lines.
        key = (row["case_id"], row["case_hash"], *(row[name] for name in COMPARABLE))
        groups.setdefault(key, []).append(row)
    ordered = sorted(groups.items(), key=lambda item: tuple(map(str, item[0])))
    return [_case(members, include_disturbed) for _, members in ordered]


def _case(rows: Sequence[Row], include_disturbed: bool) -> CaseFigures:
    samples = describe_samples(rows, include_disturbed=include_disturbed)
    figures = {}
    for column in RATIOS:
        of_energy = column in ("energy_wh", "emissions_g", "duration_s")
        known = [
            row[column]
            for row in (samples.counted if of_energy else rows)
            if row[column] is not None
        ]
        if known:
            figures[column] = estimate(known)
    return CaseFigures(rows[0]["case_id"], rows[0], samples, figures)


def _fronts(cases: Sequence[CaseFigures]) -> tuple[Front, ...]:
    groups: dict[tuple[str, ...], list[CaseFigures]] = {}
    for case in cases:
        if {"energy_wh", "test_accuracy"} <= case.figures.keys():
            groups.setdefault(tuple(str(case.row[name]) for name in COMPARABLE), []).append(case)
    fronts = []
    for (dataset, provenance, _, host), members in groups.items():
        members.sort(key=lambda case: case.figures["energy_wh"].median)
        is_on_front = pareto_front(
            [case.figures["energy_wh"].median for case in members],
            [case.figures["test_accuracy"].median for case in members],
        )
        of_one_host = len({key[-1] for key in groups}) == 1
        fronts.append(
            Front(
                dataset if of_one_host else f"{dataset} on host {host}",
                Provenance(provenance),
                tuple(
                    CaseFigures(**{**vars(case), "is_on_front": is_on})
                    for case, is_on in zip(members, is_on_front, strict=True)
                ),
            )
        )
    return tuple(fronts)


def _families(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return rows by what `compare_returns` answers apart: what one family lacks, others don't."""
    families: dict[str, list[Row]] = {}
    for row in rows:
        name = " ".join(str(row[column]) for column in SERIES)
        families.setdefault(name, []).append(row)
    return families


def _factors(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Return samples that differ in options of their architecture, and which options."""
    optioned = [row for row in rows if json.loads(row.get("options") or "{}")]
    explained: list[Row] = list(with_options([dict(row) for row in optioned]))
    names = {name for row in optioned for name in json.loads(row["options"])}
    varied = sorted(name for name in names if len({str(row.get(name)) for row in explained}) > 1)
    is_factorial = varied and all(name in row for row in explained for name in varied)
    return explained, varied if is_factorial and len(varied) <= MOST_FACTORS else []


def _is_compared(rows: Sequence[Row]) -> bool:
    """Return whether anything was run on two backends."""
    backends: dict[tuple[Any, ...], set[Any]] = {}
    for row in rows:
        key = (row["strategy"], row["architecture"], row["setting"])
        backends.setdefault(key, set()).add(row["backend"])
    return any(len(found) > 1 for found in backends.values())
