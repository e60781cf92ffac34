"""Which limits a run of tests left without a verdict, and why: silence is no pass."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from greenbench.gate.limits import Budgets, Level
from greenbench.text import clean


@dataclass
class Coverage:
    """What was to be judged, and what was.

    Tests come by the id of their case, or by a name of their own where only they know which
    cases they run.

    Attributes
    ----------
    budgets : Budgets
        What limits whom.
    cases : dict of str to str
        Why a case that may run is not judged, unless something else becomes known.
    tests : dict of str to str
        The same of tests without a case in their name.
    """

    budgets: Budgets
    cases: dict[str, str] = field(default_factory=dict)
    tests: dict[str, str] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict, init=False)
    _done: set[str] = field(default_factory=set, init=False)
    _undecided: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False)

    def not_judged(self, name: str, why: str) -> None:
        """Note what became of the test of a case, or of a test, that judged nothing."""
        self._reasons[name] = why

    def judged(self, name: str, cases: Mapping[str, Iterable[str]]) -> None:
        """Note that a test judged some cases.

        Parameters
        ----------
        name : str
            Of its case, or its own.
        cases : mapping of str to iterable of str
            What of each is still not decided, because fewer repeats ran than the case has.
        """
        self._done |= {name, *cases}
        self._undecided.update({case_id: tuple(left) for case_id, left in cases.items()})

    def lines(self) -> list[str]:
        """Return a line for each case, test and budget that has no verdict, with the reason."""
        return [clean(line) for line in (*self._of_cases(), *self._of_tests(), *self._of_budgets())]

    def _of_cases(self) -> Iterator[str]:
        for case_id, why in self.cases.items():
            limits = self.budgets.of(case_id)
            if limits and case_id not in self._done:
                names = ", ".join(f"{limit.metric} {limit.rule}" for limit in limits)
                yield f"{case_id}: {names}: {self._reasons.get(case_id, why)}"
        for case_id, left in self._undecided.items():
            yield from (f"{case_id}: {each}" for each in left)

    def _of_tests(self) -> Iterator[str]:
        for name, why in self.tests.items():
            if name not in self._done:
                yield f"{name}: the limits of what it runs: {self._reasons.get(name, why)}"

    def _of_budgets(self) -> Iterator[str]:
        limiting = {limit.pattern for limit in self.budgets.limits if limit.level is not Level.OFF}
        for pattern, line in self.budgets.unmatched([*self.cases, *self._done]):
            if pattern in limiting:
                yield f"{self.budgets.path}:{line}: no case of {pattern!r} was selected"
