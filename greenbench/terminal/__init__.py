"""What people see in a terminal of results: tables and sentences."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenbench.terminal.answers import (
        print_factors,
        print_ratios,
        print_returns,
        print_strategies,
        returns_table,
    )
    from greenbench.terminal.console import new_console
    from greenbench.terminal.devices import print_scaling
    from greenbench.terminal.gate import print_judgements
    from greenbench.terminal.history import print_history
    from greenbench.terminal.summary import (
        mark_lines,
        print_summary,
        provenance_lines,
        summary_lines,
        summary_table,
    )

_LATE = {
    "answers": (
        "print_factors", "print_ratios", "print_returns", "print_strategies", "returns_table",
    ),
    "console": ("new_console",),
    "devices": ("print_scaling",),
    "gate": ("print_judgements",),
    "history": ("print_history",),
    "summary": (
        "mark_lines", "print_summary", "provenance_lines", "summary_lines", "summary_table",
    ),
}  # fmt: skip
"""Names by their modules: comparers import SciPy, which progress and errors need not wait for."""

__all__ = [
    "mark_lines",
    "new_console",
    "print_factors",
    "print_history",
    "print_judgements",
    "print_ratios",
    "print_returns",
    "print_scaling",
    "print_strategies",
    "print_summary",
    "provenance_lines",
    "returns_table",
    "summary_lines",
    "summary_table",
]


def __getattr__(name: str) -> Any:
    for module, names in _LATE.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
