"""Diminishing returns: what each larger size of a family costs, and what it buys."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from greenbench.compare.agreement import LEAST_AGREEMENT, knee_agreement
from greenbench.compare.comparable import (
    ENERGY,
    SCORED,
    check_agree,
    check_cases,
    check_tested,
)
from greenbench.compare.courses import decide_looked
from greenbench.compare.decision import Decision
from greenbench.compare.fit import Saturation, fit_saturation
from greenbench.compare.hosts import host_column, on_host
from greenbench.compare.returns_wording import proof, sentence
from greenbench.compare.samples import block_of, describe_samples, once_each
from greenbench.compare.saving import saving_of
from greenbench.compare.sizes import (
    Size,
    beside_each_other,
    cost_the_same,
    knee_of,
    size_of,
)
from greenbench.compare.tolerance import Tolerance, tolerance_for
from greenbench.errors import NotComparableError
from greenbench.results.scope import scope_of
from greenbench.results.scores import score_of
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import words

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
        The size from which on the curve of the score against energy flattens, if 80% of resamples
        say so.
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
    knee_agreement : float or None
        Share of resamples of the repeats whose knee is where that of all repeats is; below 80% no
        knee is named. None where those have none, or where a size has one repeat.
    saved : float or None
        Share of the best size's energy that the choice does not need, by pairs of a round where
        there are two; None if that is 0, or if both energies are the same as far as ticks tell.
    saved_low, saved_high : float or None
        95% interval of it; None with fewer than two pairs (see `greenbench.compare.saving`).
    host : str or None
        Which host it is of, in words, where the table has several.
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
    knee_agreement: float | None = None
    saved: float | None = None
    saved_low: float | None = None
    saved_high: float | None = None
    host: str | None = None
    proof: str = field(init=False)

    def __post_init__(self) -> None:
        # It follows from the others, and is a field because an answer's fields are its JSON.
        object.__setattr__(self, "proof", proof(self))

    @property
    def choice(self) -> Size:
        """The smallest size within the tolerance: proven, or else by the medians alone."""
        return self.named(self.decision.choice or self.decision.descriptive)

    @property
    def best(self) -> Size:
        """The size of the best median score; of equals, the one of least energy."""
        return max(self.sizes, key=lambda size: self.judged_by.gain(size.score.median))

    @property
    def sentence(self) -> str:
        """The answer in words; where nothing is proven, it begins with that."""
        return on_host(self.host, sentence(self))

    def records(self) -> list[dict[str, Any]]:
        """Return the table, a row a size."""
        series = {name: getattr(self, name) for name in SERIES}
        common = {**host_column(self.host), **series}
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

    def named(self, network: str) -> Size:
        """Return one of the sizes."""
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
    common: Mapping[str, Any],
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
    decision = _decide(sizes, by_size, score, allowed, include_disturbed=include_disturbed)
    samples = [_repeats(counted[size.network]) for size in sizes]
    knee, agreement = _knee(sizes, samples, score)
    found = Returns(
        **common,
        provenance=known[0].get("energy_provenance"),
        sizes=beside_each_other(sizes, decision, score),
        decision=decision,
        knee=knee,
        saturation=fit_saturation(list(map(_figures, samples)), score),
        left_out=left_out,
        score_name=rows[0].get("score_name") or f"test {words(score)}",
        scope=scope_of(known[0]),
        judged_by=score,
        within=allowed.words(score),
        knee_agreement=agreement,
    )
    return replace(found, **_saved(found, counted))


def _decide(
    sizes: Sequence[Size],
    by_size: Mapping[str, Sequence[Row]],
    score: Score,
    allowed: Tolerance,
    *,
    include_disturbed: bool,
) -> Decision:
    """Return which size to train, by all repeats of each, those too whose energy does not count."""
    repeats = {network: once_each(members) for network, members in by_size.items()}
    gains = {n: [score.gain(row["test_score"]) for row in found] for n, found in repeats.items()}
    return decide_looked(
        [(s.network, s.energy_wh.median, gains[s.network]) for s in sizes],
        by_size,
        score,
        allowed,
        blocks={network: [*map(block_of, found)] for network, found in repeats.items()},
        include_disturbed=include_disturbed,
    )


def _saved(found: Returns, counted: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Return what the choice saves of the best size's energy, with its interval."""
    choice, best = found.choice, found.best
    spent = best.energy_wh.median
    if not spent or (choice is not best and cost_the_same(choice, best)):
        return {}
    by_pairs = saving_of(counted[choice.network], counted[best.network])
    if choice is best or by_pairs is None:
        return {"saved": 1 - choice.energy_wh.median / spent}
    return {"saved": by_pairs.share, "saved_low": by_pairs.low, "saved_high": by_pairs.high}


def _knee(
    sizes: Sequence[Size], samples: Sequence[Sequence[Row]], score: Score
) -> tuple[str | None, float | None]:
    """Return the knee, if most resamples have it, and the share of those."""
    found = knee_of(sizes, score)
    if found is None:
        return None, None
    gains = [[(e, score.gain(reached)) for e, reached in _figures(rows)] for rows in samples]
    agreement = knee_agreement(found, gains, [[*map(block_of, rows)] for rows in samples])
    is_sure = agreement is not None and agreement >= LEAST_AGREEMENT
    return sizes[found].network if is_sure else None, agreement


def _repeats(rows: Sequence[Row]) -> list[Row]:
    """Return each repeat once, however often it ran, with its mean energy and score."""
    energies = once_each(rows, "energy_wh")
    return [
        {**other, "energy_wh": one["energy_wh"]}
        for one, other in zip(energies, once_each(rows), strict=True)
    ]


def _figures(repeats: Sequence[Row]) -> list[tuple[float, float]]:
    return [(row["energy_wh"], row["test_score"]) for row in repeats]


def _why_none(rows: Sequence[Row]) -> str:
    if any(row["energy_wh"] is not None for row in rows):
        return (
            "every sample was disturbed by other processes; run it on a quiet host, or count "
            "them all the same with `--include-disturbed`"
        )
    return "no sample has an energy: no meter worked; `greenbench doctor` says why"
