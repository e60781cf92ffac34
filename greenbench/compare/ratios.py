"""Paired ratios to a baseline: what another backend or practice costs, and what it gives."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenbench.compare.comparable import ENERGY, check_agree
from greenbench.compare.samples import describe_samples
from greenbench.compare.stats import Estimate, estimate
from greenbench.errors import NotComparableError, UnknownNameError

Row = Mapping[str, Any]

METRICS = {"energy": "energy_wh", "duration": "duration_s", "accuracy": "test_accuracy"}
OWN_GROUP = ("strategy", "architecture", "backend", "practice", "setting")
USUAL_BASELINES = ("torch", "none", "baseline", "default")
FEWEST_PAIRS = 3


@dataclass(frozen=True)
class Ratio:
    """One variant against the baseline, in one group.

    Attributes
    ----------
    group : str
        What both have in common; ``"all"`` for the medians of all groups together.
    variant, baseline : str
        What is compared.
    pairs : int
        Repeats that both have, or groups.
    energy, duration, accuracy : Estimate or None
        Median of variant over baseline, pair by pair, with its bootstrap interval; None
        where no pair has both figures.
    reason : str or None
        Why there is no energy, or no interval.
    """

    group: str
    variant: str
    baseline: str
    pairs: int
    energy: Estimate | None
    duration: Estimate | None
    accuracy: Estimate | None
    reason: str | None = None


@dataclass(frozen=True)
class Ratios:
    """All variants of a column against one of them.

    Attributes
    ----------
    compared : str
        The column, such as ``"backend"``.
    baseline : str
        The variant that the others are divided by.
    provenance : str or None
        Of the energy figures; None if the table does not say.
    ratios : tuple of Ratio
        By group, and within it by variant.
    overall : tuple of Ratio
        A variant each, over the groups' medians; empty for a single group.
    unpaired : tuple of str
        Groups without the baseline, or without another variant.
    """

    compared: str
    baseline: str
    provenance: str | None
    ratios: tuple[Ratio, ...]
    overall: tuple[Ratio, ...]
    unpaired: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return " ".join(_sentence(ratio) for ratio in self.overall or self.ratios)

    def records(self) -> list[dict[str, Any]]:
        """Return the table, a row a group and variant."""
        return [_record(ratio) for ratio in (*self.ratios, *self.overall)]


def compare_ratios(
    rows: Iterable[Row],
    compared: str,
    *,
    group: Sequence[str] = OWN_GROUP,
    baseline: str | None = None,
    include_disturbed: bool = False,
) -> Ratios:
    """Return paired ratios of every variant to a baseline.

    Repeats are paired by their number and session: the pairs ran in the same round of a
    suite, so what drifts over hours cancels out. They do not share seeds.

    Parameters
    ----------
    rows : iterable of mapping
        As `greenbench.table.to_row` or `greenbench.compare.columns.to_results` give them.
    compared : str
        The column whose values are compared, such as ``"backend"``.
    group : sequence of str
        Columns that must agree; `compared` is left out of them.
    baseline : str, optional
        The value to divide by; None takes the first of `USUAL_BASELINES` that is there, or
        else the first by name.
    include_disturbed : bool
        Whether the energy of disturbed samples counts.

    Raises
    ------
    UnknownNameError
        If there is no such baseline.
    NotComparableError
        If figures differ in provenance or host, one variant of a group has several
        definitions, or no group has the baseline and another variant.
    """
    rows = [row for row in rows if row.get(compared) is not None]
    variants = sorted({str(row[compared]) for row in rows})
    if len(variants) <= 1:
        raise NotComparableError(
            f"{compared}: a ratio needs two of them, and there "
            f"{f'is only {variants[0]!r}' if variants else 'is none'}; run another one"
        )
    if baseline is None:
        baseline = next((name for name in USUAL_BASELINES if name in variants), variants[0])
    if baseline not in variants:
        raise UnknownNameError(compared, baseline, variants)
    check_agree(compared, [row for row in rows if row["energy_wh"] is not None], ENERGY)
    groups: dict[str, dict[str, list[Row]]] = {}
    columns = [name for name in group if name != compared]
    for row in rows:
        name = " ".join(str(row[column]) for column in columns if row.get(column))
        groups.setdefault(name, {}).setdefault(str(row[compared]), []).append(row)
    ratios, unpaired = [], []
    for name, members in groups.items():
        for variant, samples in members.items():
            check_agree(f"{name} {variant}", samples, {"case_hash": "definition"})
        others = [variant for variant in variants if variant in members and variant != baseline]
        if baseline not in members or not others:
            unpaired.append(name)
        else:
            ratios += [
                _ratio(name, variant, baseline, members, include_disturbed) for variant in others
            ]
    if not ratios:
        raise NotComparableError(
            f"{compared}: nothing was run both with {baseline!r} and with another one; what "
            f"else must agree: {', '.join(columns)}"
        )
    provenance = next(
        (r.get("energy_provenance") for r in rows if r["energy_wh"] is not None), None
    )
    has_several = len({ratio.group for ratio in ratios}) > 1
    overall = _overall(ratios, variants, baseline) if has_several else ()
    return Ratios(compared, baseline, provenance, tuple(ratios), overall, tuple(unpaired))


def _ratio(
    group: str,
    variant: str,
    baseline: str,
    members: Mapping[str, Sequence[Row]],
    include_disturbed: bool,
) -> Ratio:
    samples = [
        describe_samples(members[name], include_disturbed=include_disturbed)
        for name in (variant, baseline)
    ]
    pairs = _pairs(*(members[name] for name in (variant, baseline)))
    counted = _pairs(*(sample.counted for sample in samples))
    energy = _estimate(counted, "energy_wh")
    reason = None
    if energy is None:
        reason = "no pair of repeats has two energies that count"
    elif energy.n < FEWEST_PAIRS:
        reason = f"{energy.n} of {FEWEST_PAIRS} pairs that an interval needs"
    return Ratio(
        group,
        variant,
        baseline,
        len(pairs),
        energy,
        _estimate(counted, "duration_s"),
        _estimate(pairs, "test_accuracy"),
        reason,
    )


def _pairs(variant: Sequence[Row], baseline: Sequence[Row]) -> list[tuple[Row, Row]]:
    partners = _by_repeat(baseline)
    return [(row, partners[key]) for key, row in _by_repeat(variant).items() if key in partners]


def _by_repeat(rows: Sequence[Row]) -> dict[tuple[Any, Any], Row]:
    found: dict[tuple[Any, Any], Row] = {}
    for row in rows:
        key = (row.get("session"), row["repeat"])
        if key in found:
            raise NotComparableError(
                f"repeat {row['repeat']} comes twice where one is paired with one; tell them apart "
                "with `--group`, or select some with `--where`"
            )
        found[key] = row
    return found


def _estimate(pairs: Sequence[tuple[Row, Row]], column: str) -> Estimate | None:
    ratios = [
        one[column] / other[column]
        for one, other in pairs
        if one[column] is not None and other[column]
    ]
    return estimate(ratios) if ratios else None


def _overall(ratios: Sequence[Ratio], variants: Sequence[str], baseline: str) -> tuple[Ratio, ...]:
    found = []
    for variant in variants:
        groups = [ratio for ratio in ratios if ratio.variant == variant]
        figures: dict[str, Estimate | None] = {}
        for name in METRICS:
            known = [getattr(ratio, name) for ratio in groups]
            medians = [each.median for each in known if each is not None]
            figures[name] = estimate(medians) if medians else None
        reason = None if figures["energy"] else "no group has an energy that counts"
        if groups:
            found.append(Ratio("all", variant, baseline, len(groups), **figures, reason=reason))
    return tuple(found)


def _sentence(ratio: Ratio) -> str:
    where = "over all groups" if ratio.group == "all" else f"in {ratio.group}"
    accuracy = ratio.accuracy
    gives = "" if accuracy is None else f", at {_times(accuracy)} the accuracy"
    if ratio.energy is None:
        return (
            f"{ratio.variant}: no ratio of energies to {ratio.baseline} {where} ({ratio.reason})."
        )
    verdict = ""
    if ratio.energy.low is not None and ratio.energy.high is not None:
        straddles = ratio.energy.low <= 1 <= ratio.energy.high
        verdict = "; the interval holds 1, so no difference is shown" if straddles else ""
    else:
        verdict = (
            f"; {ratio.energy.n} {'groups' if ratio.group == 'all' else 'pairs'} give no interval"
        )
    return (
        f"{ratio.variant} takes {_times(ratio.energy)} the energy of {ratio.baseline} "
        f"{where}{gives}{verdict}."
    )


def _times(found: Estimate) -> str:
    interval = "" if found.low is None else f" [{found.low:.3g}, {found.high:.3g}]"
    return f"{found.median:.3g}{interval} times"


def _record(ratio: Ratio) -> dict[str, Any]:
    record: dict[str, Any] = {
        name: getattr(ratio, name) for name in ("group", "variant", "baseline", "pairs")
    }
    for name in METRICS:
        found = getattr(ratio, name)
        record[f"{name}_ratio"] = found.median if found else None
        record[f"{name}_low"] = found.low if found else None
        record[f"{name}_high"] = found.high if found else None
    return {**record, "reason": ratio.reason}
