"""Blocks: rows that were drawn alike, so that what sets them apart is what is compared."""

from collections.abc import Hashable, Mapping
from typing import Any


def block_of(row: Mapping[str, Any]) -> Hashable | None:
    """Return what rows of one split and order of samples share; None where it is not known.

    Parameters
    ----------
    row : mapping
        As `greenbench.results.table.to_row` gives it; older results have no ``split_seed``.
    """
    seed = row.get("split_seed")
    return None if seed is None else (seed, row.get("dataset"), row.get("repeat"))
