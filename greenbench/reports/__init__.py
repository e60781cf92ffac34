"""The report: one self-contained HTML file, its figures and its tables."""

from greenbench.reports.findings import Findings, find
from greenbench.reports.write import write_report

__all__ = ["Findings", "find", "write_report"]
