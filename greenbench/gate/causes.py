"""What is likely behind a cost that grew: the model, the search, or what runs them."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Row = Mapping[str, Any]

UNCHANGED = (
    "train_flops are unchanged: suspect the runtime (libraries, threads, data loading, work "
    "that is no training), not the model"
)
COSTS = ("trials", "epochs", "samples_seen", "parameters", "train_flops")


def likely_cause(rows: Sequence[Row], baseline: Sequence[Row]) -> str | None:
    """Return which deterministic costs changed, and what that points at.

    Parameters
    ----------
    rows, baseline : sequence of row
        Of one case; those of the baseline may be none.

    Returns
    -------
    str or None
        None if nothing can be said.
    """
    if not baseline:
        return None
    changes = {name: _change(rows, baseline, name) for name in COSTS}
    if changes["train_flops"] is None:
        return None
    changed = [f"{name} {_words(share)}" for name, share in changes.items() if share]
    if rows[0].get("case_hash") != baseline[0].get("case_hash"):
        what = f" ({', '.join(changed)})" if changed else ""
        return f"the definition of the case changed{what}"
    if not changed:
        return UNCHANGED
    if changes["trials"] or changes["epochs"] or changes["samples_seen"]:
        return f"{', '.join(changed)}: more or other training, not a costlier network alone"
    return f"{', '.join(changed)}: the model changed"


def _change(rows: Sequence[Row], baseline: Sequence[Row], column: str) -> float | None:
    now, before = (
        [row[column] for row in each if row.get(column) is not None] for each in (rows, baseline)
    )
    if not now or not before or not median(before):
        return None
    return float(median(now) / median(before) - 1)


def _words(share: float) -> str:
    return f"{'up' if share > 0 else 'down'} by {abs(share):.1%}"
