"""Results: what came out of a case, as readings, records, journal and table."""

from greenbench.results.reconciliation import Reconciliation
from greenbench.results.result import (
    CaseResult,
    Costs,
    Epoch,
    Segment,
    Trial,
    TrialStatus,
    find_incumbent,
    gain_of,
)

__all__ = [
    "CaseResult",
    "Costs",
    "Epoch",
    "Reconciliation",
    "Segment",
    "Trial",
    "TrialStatus",
    "find_incumbent",
    "gain_of",
]
