"""Asks comparers about the groups of a table, and about each host, and keeps what they refuse."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from greenbench.compare.hosts import answer_each
from greenbench.errors import GreenbenchError
from greenbench.reports.formats import joined

Row = Mapping[str, Any]

AT_ONCE = ("factors", "backends")
"""Questions that are not asked of each host here: one has no answer, the other tells them apart."""


@dataclass(frozen=True)
class Questions:
    """Asks comparers about each host, and keeps what they refuse.

    Attributes
    ----------
    names : mapping of str to str
        What hosts are called.
    refusals : list of (str, str)
        What could not be answered, and why.
    """

    names: Mapping[str, str]
    refusals: list[tuple[str, str]] = field(default_factory=list)

    def ask(
        self,
        question: str,
        groups: Mapping[tuple[str, ...], Sequence[Row]],
        comparer: Callable[[tuple[str, ...], Sequence[Row]], Sequence[Any]],
    ) -> tuple[Any, ...]:
        """Return all answers: what one group is refused, others are not."""
        found: list[Any] = []
        for key, members in groups.items():
            about = joined(question, *key)
            try:
                if question in AT_ONCE:
                    found += comparer(key, members)
                    continue
                answers, notes = answer_each(members, partial(comparer, key), self.names)
                found += answers
                self.refusals.extend((about, note) for note in notes)
            except GreenbenchError as error:
                self.refusals.append((about, str(error)))
        return tuple(found)
