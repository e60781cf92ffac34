"""Blocks: what searches of several strategies share, and the least or the best that each has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from greenbench.compare.searches import Search, Searches

ALL = "all searches"
"""The one block of searches that are not known to share anything."""

ONE_LIMIT = (
    "all searches are cut at one limit and have one target, since it is not known which of them "
    "share a repeat's split"
)


@dataclass(frozen=True)
class InBlock:
    """A figure of one block.

    Attributes
    ----------
    block : str
        Its name, such as ``"session s1, repeat 3"``.
    value : float
        The figure.
    """

    block: str
    value: float


def blocks_by(searches: Searches) -> Callable[[Search], str]:
    """Return what names a search's block.

    Where one search is not known to share anything with others, all are one block.
    """
    everything = [search for found in searches.values() for search in found]
    are_known = all(search.block is not None for search in everything)
    return (lambda search: search.block or ALL) if are_known else (lambda _: ALL)


def least_in_each(
    searches: Searches, cost_of: Callable[[Search], float | None]
) -> dict[str, float]:
    """Return the least cost of any strategy in each block; nothing where nothing costs.

    A strategy that lacks a search in a block counts there with the median of its others', so
    that in no block the others may go further than where it is there.

    Parameters
    ----------
    searches : mapping of str to sequence of Search
        Of each strategy.
    cost_of : callable
        What a search took; None if it limits nobody.
    """
    block_of = blocks_by(searches)
    costs = {name: _least(found, block_of, cost_of) for name, found in searches.items()}
    costs = {name: own for name, own in costs.items() if own}
    usual = {name: median(own.values()) for name, own in costs.items()}
    return {
        block: min(own.get(block, usual[name]) for name, own in costs.items())
        for block in _blocks(searches)
        if costs
    }


def best_in_each(searches: Searches) -> dict[str, float]:
    """Return the largest gain of any search in each block, at its end.

    A block that lacks a strategy may lack the one that finds most: it has the median of the
    blocks that lack none, or, where each lacks some, the largest gain of all searches.
    """
    block_of = blocks_by(searches)
    gains: dict[str, dict[str, float]] = {block: {} for block in _blocks(searches)}
    for name, found in searches.items():
        for search in found:
            own, gain = gains[block_of(search)], float(search.best[-1])
            own[name] = max(gain, own.get(name, gain))
    best = {block: max(own.values()) for block, own in gains.items()}
    whole = [best[block] for block, own in gains.items() if len(own) == len(searches)]
    usual = median(whole) if whole else max(best.values())
    return {
        block: best[block] if len(own) == len(searches) else usual for block, own in gains.items()
    }


def in_blocks(values: Mapping[str, float]) -> tuple[InBlock, ...]:
    """Return figures by block; nothing where all searches are one block."""
    return tuple(InBlock(block, value) for block, value in sorted(values.items()) if block != ALL)


def _blocks(searches: Searches) -> list[str]:
    block_of = blocks_by(searches)
    return list(dict.fromkeys(block_of(s) for found in searches.values() for s in found))


def _least(
    found: Sequence[Search],
    block_of: Callable[[Search], str],
    cost_of: Callable[[Search], float | None],
) -> dict[str, float]:
    costs: dict[str, float] = {}
    for search in found:
        if (cost := cost_of(search)) is not None:
            costs[block_of(search)] = min(cost, costs.get(block_of(search), cost))
    return costs


def notes_of(searches: Searches) -> tuple[str, ...]:
    """Say that all searches are cut at one limit, where that of a repeat would be fairer."""
    everything = [search for found in searches.values() for search in found]
    if len(everything) == len(searches) or all(search.block for search in everything):
        return ()
    return (ONE_LIMIT,)
