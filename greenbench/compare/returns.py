"""Diminishing returns: what each larger size of a family costs, and what it buys."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenbench.compare.comparable import (
    ENERGY,
    SCORED,
    check_agree,
    check_cases,
    check_tested,
)
from greenbench.compare.decision import PAIRED, Decision, decide
from greenbench.compare.doubts import AS_FAR
from greenbench.compare.fit import Saturation, fit_saturation
from greenbench.compare.samples import block_of, describe_samples, once_each
from greenbench.compare.sizes import (
    Size,
    beside_each_other,
    cost_the_same,
    knee_of,
    size_of,
)
from greenbench.compare.tolerance import Tolerance, tolerance_for
from greenbench.compare.units import with_unit
from greenbench.errors import NotComparableError
from greenbench.results.scope import scope_of
from greenbench.results.scores import score_of
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import (
    difference,
    is_share,
    more_or_less,
    remark,
    said,
    words,
)

Row = Mapping[str, Any]

SERIES = ("family", "strategy", "backend", "setting")


@dataclass(frozen=True)
class Returns:
    """The sizes of one family, under one strategy, backend and setting.

    Attributes
    ----------
    family, strategy, backend, setting : str
        What the sizes have in common; the setting is the data set and the budget.
    provenance : str or None
        Of the energy figures; None if the table does not say.
    sizes : tuple of Size
        By energy, least first.
    decision : Decision
        The smallest size within the tolerance of the best score, and whether repeats prove
        it.
    knee : str or None
        The size from which on the curve of the score against energy flattens.
    saturation : Saturation
        The curve through the sizes, with intervals, or why there is none.
    left_out : tuple of str
        Sizes without a sample whose energy counts.
    scope : str or None
        The components that the energy figures cover, such as ``gpu``; None if not known.
    score_name : str
        What the table says that its scores are, such as ``"test accuracy"``.
    judged_by : Score
        What the scores are.
    within : str
        The tolerance, in words.
    saved : float or None
        Share of the best size's energy that the choice does not need; None if that is 0, or if
        both energies are the same as far as ticks tell.
    proof : str
        What the repeats prove of the choice, in words.
    """

    family: str
    strategy: str
    backend: str
    setting: str
    provenance: str | None
    sizes: tuple[Size, ...]
    decision: Decision
    knee: str | None
    saturation: Saturation
    left_out: tuple[str, ...] = ()
    score_name: str = "test accuracy"
    scope: str | None = None
    judged_by: Score = ACCURACY
    within: str = "1 point"
    saved: float | None = field(init=False)
    proof: str = field(init=False)

    def __post_init__(self) -> None:
        # They follow from the others, and are fields because an answer's fields are its JSON.
        object.__setattr__(self, "saved", self._saved())
        object.__setattr__(self, "proof", self._proof())

    @property
    def choice(self) -> Size:
        """The smallest size within the tolerance: proven, or else by the medians alone."""
        return self._named(self.decision.choice or self.decision.descriptive)

    @property
    def best(self) -> Size:
        """The size of the best median score; of equals, the one of least energy."""
        return max(self.sizes, key=lambda size: self.judged_by.gain(size.score.median))

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return f"{self._in_words}{remark(self.judged_by)}"

    @property
    def _in_words(self) -> str:
        choice, best = self.choice, self.best
        if best is choice:
            # One that is left out may be better still.
            rivals = "the sizes compared" if self.left_out else "its family"
            answer = f"{self._reaches(choice)}, the best of {rivals}"
            if self.decision.descriptive == choice.network:
                answer += f"; no smaller size comes within {self.within}"
            return f"{answer}."
        score = self.judged_by
        gained = score.gain(best.score.median) - score.gain(choice.score.median)
        spent, least = best.energy_wh.median, choice.energy_wh.median
        # A counter may read 0 over a window that is short enough.
        price = f"{spent / least:.1f} times the energy" if least else with_unit(spent)
        if cost_the_same(choice, best):
            price = f"an energy that is the same, {AS_FAR}"
        points = difference(score, gained, ".1f")
        buys = points if is_share(score) else f"{points} {more_or_less(score)}"
        return f"{self._reaches(choice)}; {best.network} buys {buys} for {price}."

    def records(self) -> list[dict[str, Any]]:
        """Return the table, a row a size."""
        common = {name: getattr(self, name) for name in SERIES}
        return [
            {
                **common,
                "energy_provenance": self.provenance,
                "energy_scope": self.scope,
                "size": size.network,
                **size.energy_wh.columns("energy_wh"),
                **size.score.columns("score"),
                "n": size.energy_wh.n,
                "train_flops": size.train_flops,
                "parameters": size.parameters,
                "gain_per_wh": size.gain_per_wh,
                "is_on_front": size.is_on_front,
                "is_knee": size.network == self.knee,
                "is_choice": size is self.choice,
                "p": size.p,
            }
            for size in self.sizes
        ]

    def _saved(self) -> float | None:
        spent = self.best.energy_wh.median
        if self.choice is not self.best and cost_the_same(self.choice, self.best):
            return None
        return 1 - self.choice.energy_wh.median / spent if spent else None

    def _proof(self) -> str:
        decision = self.decision
        if decision.choice is None:
            nearest = min(self.sizes, key=lambda size: 1.0 if size.p is None else size.p)
            said = f"Not proven to be within {self.within} of the best: {decision.reason}"
            if nearest.p is not None and nearest.network != decision.descriptive:
                said += f"; nearest to a proof is {nearest.network} (p = {nearest.p:.2g})"
            return f"{said}."
        proven = f"Within {self.within} of the best at {decision.confidence:.0%} confidence"
        proven += f" ({PAIRED})" if decision.is_paired else ""
        saves = self.saved if self.best is not self.choice else None
        proven += f"; it saves {saves:.0%} of the energy." if saves else "."
        if decision.reason is None:
            return proven
        smaller = self._reaches(self._named(decision.descriptive))
        return f"{proven} {smaller}, and may do as well: {decision.reason}."

    def _reaches(self, size: Size) -> str:
        energy = with_unit(size.energy_wh.median)
        return f"{size.network} reaches {said(self.judged_by, size.score.median)} for {energy}"

    def _named(self, network: str) -> Size:
        return next(size for size in self.sizes if size.network == network)


def compare_returns(
    rows: Iterable[Row],
    *,
    tolerance: Tolerance | float | None = None,
    include_disturbed: bool = False,
) -> list[Returns]:
    """Return the diminishing returns of every family with at least two sizes.

    Parameters
    ----------
    rows : iterable of mapping
        As `greenbench.results.table.to_row` or `greenbench.compare.columns.to_results` give them;
        failed repeats are left out.
    tolerance : Tolerance or float, optional
        How far the score may be below the best; a number is in the score's unit: of an
        accuracy, 0.01 is one percentage point. None takes that, and 1% of the best of scores
        that are no shares.
    include_disturbed : bool
        Whether the energy of disturbed samples counts.

    Raises
    ------
    NotComparableError
        If the figures of one family differ in score, provenance or host or, for one size, in the
        definition of the case; the message names what differs.
    """
    rows = list(rows)
    check_cases(rows)
    series: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        # One with further options is no member of the family; a foreign size has its own name.
        plain = (f"{row['family']}.{row['size']}", row["size"])
        if row["architecture"] in plain:
            check_tested([row])
        if row["architecture"] in plain and row["test_score"] is not None:
            series.setdefault(tuple(row[name] for name in SERIES), []).append(row)
    return [
        _returns(dict(zip(SERIES, key, strict=True)), members, tolerance, include_disturbed)
        for key, members in series.items()
        if len({row["architecture"] for row in members}) > 1
    ]


def _returns(
    common: Mapping[str, str],
    rows: Sequence[Row],
    tolerance: Tolerance | float | None,
    include_disturbed: bool,
) -> Returns:
    where = "{family} ({strategy}, {backend}, {setting})".format(**common)
    check_agree(where, rows, SCORED)
    score = score_of(rows[0])
    allowed = tolerance_for(score, tolerance)
    known = [row for row in rows if row["energy_wh"] is not None]
    check_agree(where, known, ENERGY)
    by_size: dict[str, list[Row]] = {}
    for row in rows:
        by_size.setdefault(row["architecture"], []).append(row)
    counted = {
        network: describe_samples(members, include_disturbed=include_disturbed).counted
        for network, members in by_size.items()
    }
    left_out = tuple(network for network, members in counted.items() if not members)
    by_size = {n: members for n, members in by_size.items() if n not in left_out}
    if not by_size:
        raise NotComparableError(f"{where}: {_why_none(rows)}")
    for network, members in by_size.items():
        check_agree(network, members, {"case_hash": "definition"})
    sizes = sorted(
        (size_of(members, counted[network]) for network, members in by_size.items()),
        key=lambda size: (size.energy_wh.median, size.network),
    )
    repeats = {network: once_each(members) for network, members in by_size.items()}
    gains = {n: [score.gain(row["test_score"]) for row in found] for n, found in repeats.items()}
    decision = decide(
        [(s.network, s.energy_wh.median, gains[s.network]) for s in sizes],
        tolerance=allowed.of(max(map(statistics.median, gains.values()))),
        blocks={network: [*map(block_of, found)] for network, found in repeats.items()},
    )
    pairs = [_pairs(counted[size.network]) for size in sizes]
    return Returns(
        **common,
        provenance=known[0].get("energy_provenance"),
        sizes=beside_each_other(sizes, decision, score),
        decision=decision,
        knee=knee_of(sizes, score),
        saturation=fit_saturation(pairs, score),
        left_out=left_out,
        score_name=rows[0].get("score_name") or f"test {words(score)}",
        scope=scope_of(known[0]),
        judged_by=score,
        within=allowed.words(score),
    )


def _pairs(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Return energy and score of each repeat, however often it ran."""
    energies = once_each(rows, "energy_wh")
    return [
        (one["energy_wh"], other["test_score"])
        for one, other in zip(energies, once_each(rows), strict=True)
    ]


def _why_none(rows: Sequence[Row]) -> str:
    if any(row["energy_wh"] is not None for row in rows):
        return (
            "every sample was disturbed by other processes; run it on a quiet host, or count "
            "them all the same with `--include-disturbed`"
        )
    return "no sample has an energy: no meter worked; `greenbench doctor` says why"
