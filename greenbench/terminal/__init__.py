"""What people see in a terminal of results: tables and sentences."""

from greenbench.terminal.answers import (
    print_factors,
    print_ratios,
    print_returns,
    print_strategies,
    returns_table,
)
from greenbench.terminal.console import new_console
from greenbench.terminal.gate import print_judgements
from greenbench.terminal.history import print_history
from greenbench.terminal.summary import (
    mark_lines,
    print_summary,
    provenance_lines,
    summary_lines,
    summary_table,
)

__all__ = [
    "mark_lines",
    "new_console",
    "print_factors",
    "print_history",
    "print_judgements",
    "print_ratios",
    "print_returns",
    "print_strategies",
    "print_summary",
    "provenance_lines",
    "returns_table",
    "summary_lines",
    "summary_table",
]
