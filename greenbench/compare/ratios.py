"""Paired ratios to a baseline: what another backend, optimiser or practice costs, and gives."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from greenbench.compare.comparable import ENERGY, SCORED, check_agree, check_cases
from greenbench.compare.doubts import share_of
from greenbench.compare.hosts import host_column, on_host
from greenbench.compare.paired import (
    by_repeat,
    paired,
    ratio_of,
    score_difference_of,
    score_ratio_of,
)
from greenbench.compare.paired_means import FEWEST_PAIRS, PairedMean
from greenbench.compare.ratio import Ratio, as_one_family, over_groups
from greenbench.compare.ratio_wording import family_note, of_group, over_all
from greenbench.compare.samples import describe_samples, timed_rows
from greenbench.errors import NotComparableError, UnknownNameError
from greenbench.results.scope import scope_of
from greenbench.results.scores import score_of

Row = Mapping[str, Any]
_Groups = dict[str, dict[str, list[Row]]]

OWN_GROUP = ("strategy", "architecture", "backend", "practice", "setting")
USUAL_BASELINES = ("torch", "none", "baseline", "default", "adam", "constant")
FAILED = "failed"
UNSEARCHED = "default"
"""The strategy that searches no space."""


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
        A variant each, over the groups' means, each of which counts as one sample: what would be
        expected of another such group. Empty for a single group.
    unpaired : tuple of str
        Groups without the baseline, or without another variant.
    scope : str or None
        The components that the energy figures cover, such as ``gpu``; None if not known.
    host : str or None
        Which host it is of, in words, where the table has several.
    """

    compared: str
    baseline: str
    provenance: str | None
    ratios: tuple[Ratio, ...]
    overall: tuple[Ratio, ...]
    unpaired: tuple[str, ...]
    scope: str | None = None
    host: str | None = None

    @property
    def sentence(self) -> str:
        """The answer in words."""
        said = [self._say(each, self._of(each.variant)) for each in self.overall or self.ratios]
        said += family_note([*self.ratios, *self.overall])
        if any(ratio.has_own_spaces for ratio in self.ratios):
            said.append("Where there was a search, each was searched in a space of its own.")
        return on_host(self.host, " ".join(said))

    def _of(self, variant: str) -> list[Ratio]:
        return [ratio for ratio in self.ratios if ratio.variant == variant]

    def _say(self, ratio: Ratio, groups: Sequence[Ratio]) -> str:
        variant, baseline = map(self._name, (ratio.variant, ratio.baseline))
        named = replace(ratio, variant=variant, baseline=baseline)
        return over_all(named, groups) if self.overall else of_group(named)

    def _name(self, variant: str) -> str:
        # A number alone would not say of what.
        return f"{self.compared}={variant}" if variant.isdecimal() else variant

    def records(self) -> list[dict[str, Any]]:
        """Return the table, a row a group and variant."""
        return [
            {
                **host_column(self.host),
                **ratio.record(),
                "energy_provenance": self.provenance,
                "energy_scope": self.scope,
            }
            for ratio in (*self.ratios, *self.overall)
        ]


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
    suite, so what drifts over hours cancels out.

    Parameters
    ----------
    rows : iterable of mapping
        As `greenbench.results.table.to_row` or `greenbench.compare.columns.to_variants` give them;
        failed repeats are left out.
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
    rows = _that_ended(rows, compared)
    check_cases(rows)
    baseline = baseline_of(rows, compared, baseline)
    known = [row for row in rows if row["energy_wh"] is not None]
    alike = {column: words for column, words in ENERGY.items() if column != compared}
    check_agree(compared, known, alike)
    columns = [name for name in group if name != compared]
    found, unpaired = _paired(_grouped(rows, columns, compared), baseline, include_disturbed)
    if not found:
        raise NotComparableError(
            f"{compared}: nothing was run both with {baseline!r} and with another one; what "
            f"else must agree: {', '.join(columns)}"
        )
    several = as_one_family([*found, *_overall(found)])
    return Ratios(
        compared=compared,
        baseline=baseline,
        provenance=known[0].get("energy_provenance") if known else None,
        ratios=several[: len(found)],
        overall=several[len(found) :],
        unpaired=tuple(unpaired),
        scope=scope_of(known[0]) if known else None,
    )


def baseline_of(rows: Iterable[Row], compared: str, baseline: str | None = None) -> str:
    """Return what is divided by, as `compare_ratios` chooses it."""
    variants = {str(row[compared]) for row in _that_ended(rows, compared)}
    return _choose(baseline, compared, sorted(variants, key=_in_order))


def _that_ended(rows: Iterable[Row], compared: str) -> list[Row]:
    # A repeat that failed broke off, or trained for nothing.
    return [r for r in rows if r.get(compared) is not None and r.get("status") != FAILED]


def _paired(
    groups: _Groups, baseline: str, include_disturbed: bool
) -> tuple[list[Ratio], list[str]]:
    """Return the ratios of all groups to the baseline, and the groups that have none."""
    ratios: list[Ratio] = []
    unpaired = []
    for name, members in groups.items():
        others = sorted(members.keys() - {baseline}, key=_in_order)
        if baseline in members and others:
            ratios += [_ratio(name, one, baseline, members, include_disturbed) for one in others]
        else:
            unpaired.append(name)
    return ratios, unpaired


def _choose(baseline: str | None, compared: str, variants: Sequence[str]) -> str:
    if len(variants) <= 1:
        raise NotComparableError(
            f"{compared}: a ratio needs two of them, and there "
            f"{f'is only {variants[0]!r}' if variants else 'is none'}; run another one"
        )
    if baseline is None:
        return next((name for name in USUAL_BASELINES if name in variants), variants[0])
    if baseline not in variants:
        raise UnknownNameError(compared, baseline, variants)
    return baseline


def _in_order(variant: str) -> tuple[int, str]:
    return int(variant) if variant.isdecimal() else 0, variant


def _grouped(rows: Sequence[Row], columns: Sequence[str], compared: str) -> _Groups:
    """Return the samples of each variant in each group."""
    groups: _Groups = {}
    for row in rows:
        known = [row[column] for column in columns if row.get(column) is not None]
        members = groups.setdefault(", ".join(map(str, known)), {})
        members.setdefault(str(row[compared]), []).append(row)
    for name, members in groups.items():
        for variant, samples in members.items():
            check_agree(_named(variant, name), samples, {"case_hash": "definition"})
    return groups


def _named(variant: str, group: str) -> str:
    return f"{variant} in {group}" if group else variant


def _ratio(
    group: str,
    variant: str,
    baseline: str,
    members: Mapping[str, Sequence[Row]],
    include_disturbed: bool,
) -> Ratio:
    names = {name: _named(name, group) for name in (variant, baseline)}

    def in_pairs(choose: Callable[[Sequence[Row]], Sequence[Row]]) -> list[tuple[Row, Row]]:
        return paired(*(by_repeat(words, choose(members[n])) for n, words in names.items()))

    counting = {"include_disturbed": include_disturbed}
    pairs = in_pairs(list)
    counted = in_pairs(lambda rows: describe_samples(rows, **counting).counted)
    timed = in_pairs(lambda rows: timed_rows(rows, **counting))
    energy = ratio_of(counted, "energy_wh")
    everything = [*members[variant], *members[baseline]]
    check_agree(group or f"{variant} and {baseline}", everything, SCORED)
    score = score_of(everything[0])
    return Ratio(
        group=group,
        variant=variant,
        baseline=baseline,
        pairs=len(pairs),
        energy=energy,
        duration=ratio_of(timed, "duration_s"),
        score=score_ratio_of(pairs) if score.low >= 0 else None,
        reason=_why_not(energy, len(pairs), len(counted)),
        score_difference=score_difference_of(pairs),
        judged_by=score,
        energy_uncertainty=share_of(counted),
        has_own_spaces=_have_own_spaces(everything),
    )


def _have_own_spaces(rows: Sequence[Row]) -> bool:
    """Return whether rows of two variants say that they were searched in different spaces."""
    spaces = {row.get("space") for row in rows if row.get("strategy") != UNSEARCHED}
    return len(spaces - {None}) > 1


def _why_not(energy: PairedMean | None, pairs: int, counted: int) -> str | None:
    if energy is None:
        if not pairs:
            return "no repeat has a partner"
        if not counted:
            return "no pair of repeats has two energies that count"
        return "in no pair are both energies above 0"
    if energy.low is None:
        return f"{energy.n} of {FEWEST_PAIRS} pairs that an interval needs"
    return None


def _overall(ratios: Sequence[Ratio]) -> list[Ratio]:
    """Return what the groups of each variant say together, if there are several groups."""
    if len({ratio.group for ratio in ratios}) == 1:
        return []
    variants = sorted({ratio.variant for ratio in ratios}, key=_in_order)
    return [over_groups([r for r in ratios if r.variant == variant]) for variant in variants]
