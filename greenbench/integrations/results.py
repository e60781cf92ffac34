"""Results in Python: a sequence that prints as the summary, and shows a table in notebooks."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, overload

from greenbench.compare.winners import found_lines
from greenbench.results import CaseResult
from greenbench.results.heat import mark_hot
from greenbench.results.marks import mark_drift
from greenbench.results.table import Row, to_row, to_trial_rows
from greenbench.terminal import mark_lines, provenance_lines
from greenbench.terminal.summary import summary_lines

if TYPE_CHECKING:
    import pandas as pd

    from greenbench.reports.table import Table


class Results(Sequence[CaseResult]):
    """What cases gave: one `CaseResult` for each repeat, in the order of the cases.

    ``print(results)`` prints what ``greenbench run`` prints; a notebook shows a table.

    Parameters
    ----------
    results : iterable of CaseResult
        Of one session.
    idle_drift : float, optional
        By which share idle power changed meanwhile.
    """

    def __init__(self, results: Iterable[CaseResult], idle_drift: float | None = None) -> None:
        self._results = tuple(results)
        self._idle_drift = idle_drift

    @overload
    def __getitem__(self, index: int) -> CaseResult: ...

    @overload
    def __getitem__(self, index: slice) -> "Results": ...

    def __getitem__(self, index: int | slice) -> "CaseResult | Results":
        """Return a result, or some of them."""
        if isinstance(index, slice):
            return Results(self._results[index], self._idle_drift)
        return self._results[index]

    def __len__(self) -> int:
        """Return how many repeats there are."""
        return len(self._results)

    def __repr__(self) -> str:
        """Return how much there is."""
        cases = len({each.case for each in self._results})
        return f"<Results: {len(self)} of {cases} case{'' if cases == 1 else 's'}>"

    def __str__(self) -> str:
        """Return the summary: the table of cases, what searches found, and provenance."""
        return "\n".join(summary_lines(self.rows(), "utf-8")) or repr(self)

    def rows(self) -> list[Row]:
        """Return a row for each repeat, with all columns of the results' table."""
        rows = [to_row(result) for result in self._results]
        for row in rows:
            mark_drift(row, self._idle_drift)
        mark_hot(rows)
        return rows

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a table: energies in Wh, scores, costs, tags."""
        import pandas as pd  # noqa: PLC0415

        return pd.DataFrame(self.rows())

    def trials_to_pandas(self) -> "pd.DataFrame":
        """Return a row for each trial, with its hyperparameters as columns of their own."""
        import pandas as pd  # noqa: PLC0415

        records: list[dict[str, Any]] = [
            {**row, **trial.hyperparameters}
            for result in self._results
            for row, trial in zip(to_trial_rows(result), result.trials, strict=True)
        ]
        return pd.DataFrame(records)

    def _repr_html_(self) -> str:
        # They draw figures, too, for which there is more to import.
        from greenbench.reports.content import cases_tables  # noqa: PLC0415
        from greenbench.reports.findings import find  # noqa: PLC0415

        rows = self.rows()
        if not rows:
            return escape(repr(self))
        tables = cases_tables(find(rows, [], {}))
        said = [*found_lines(rows), *mark_lines(rows), *provenance_lines(rows)]
        return "".join(map(_html, tables)) + "".join(f"<p>{escape(line)}</p>" for line in said)


def _html(table: "Table") -> str:
    heads = "".join(f"<th>{escape(heading)}</th>" for heading in table.headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell.text)}</td>' for cell in row)}</tr>" for row in table.rows
    )
    caption = escape(table.caption)
    return (
        f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
