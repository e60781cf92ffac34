"""Columns: somebody else's table under our own names, for each question that it is asked."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from greenbench.compare import cells
from greenbench.compare.comparable import DEVICE, ENERGY, WORK, check_agree
from greenbench.compare.copies import measured_once, once
from greenbench.compare.exports import completed, in_order, plain, settled
from greenbench.compare.headers import (
    DURATION,
    SEED,
    SIZE,
    STRATEGY,
    TEST_ACCURACY,
    UNIT,
    VAL_ACCURACY,
    energy_in,
    find,
    find_if_any,
    groups_of,
    named,
)
from greenbench.compare.headers import ENERGY as ENERGY_NAMES
from greenbench.compare.names import Names
from greenbench.compare.scored import find_scored, in_words, score_in_words
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.results import TrialStatus
from greenbench.results.expected import LARGEST
from greenbench.results.scores import OLDER_NAMES, columns_of, score_of
from greenbench.tasks import ACCURACY, Score

Row = dict[str, Any]

OWN_ONLY = (
    "search_wh",
    "segments",
    "reevaluates",
    "lanes",
    "optimism",
    "test_score",
    "repeat_uncertainty_wh",
)
"""Columns of trials that greenbench alone writes."""


class Foreign(NamedTuple):
    """Somebody else's table under our own names.

    Attributes
    ----------
    rows : list of dict
        With their columns, and ours.
    group : tuple of str
        Columns that tell apart what is answered apart.
    notes : tuple of str
        What a reader must know of how it was read.
    """

    rows: list[Row]
    group: tuple[str, ...]
    notes: tuple[str, ...]


def to_trials(rows: Sequence[Row], names: Names) -> Foreign:
    """Return a table of trials under our own names.

    Parameters
    ----------
    rows : sequence of dict
        One a trial; in the order in which they ran, if no column says it.
    names : Names
        What its columns are called.

    Raises
    ------
    GreenbenchError
        As `to_results` does; or if a column that orders them does not.
    """
    table = _Table.of(rows, names, "strategy", STRATEGY, VAL_ACCURACY, ended=settled)
    ordered, order = in_order(table.rows, names.order)
    table = table.with_rows(ordered)
    columns: dict[str, Sequence[Any]] = {
        "val_score": [
            None if row.get("status") == TrialStatus.FAILED else found
            for row, found in zip(table.rows, table.scores(), strict=True)
        ],
        "strategy": cells.texts(table.rows, table.compared),
        # Whatever they are in somebody else's table.
        **dict.fromkeys(OWN_ONLY, [None] * len(table.rows)),
    }
    # Strategies say of their own trials which data sets must not be mixed.
    table.check_devices()
    return table.under(columns, order)


def to_results(rows: Sequence[Row], names: Names) -> Foreign:
    """Return a table of results as families of sizes.

    Parameters
    ----------
    rows : sequence of dict
        One a repeat.
    names : Names
        What its columns are called.

    Raises
    ------
    UnknownNameError
        If a column is not there.
    ConfigurationError
        If a cell is not what it must be, an energy has no unit, or several columns may be meant.
    NotComparableError
        If rows that would be averaged differ in what they ran on, or in what was trained.
    """
    table = _Table.of(rows, names, "size", SIZE, TEST_ACCURACY)
    sizes = cells.texts(table.rows, table.compared)
    columns: dict[str, Sequence[Any]] = {
        "test_score": table.scores(),
        "score_name": [table.score_in_words] * len(sizes),
        "family": [table.shared(row) or "all sizes" for row in table.rows],
        **dict.fromkeys(("size", "architecture", "case_id"), sizes),
        **dict.fromkeys(("strategy", "backend", "setting"), [""] * len(sizes)),
    }
    # Nothing depends on these, so that "11M" is no mistake.
    for name in ("train_flops", "parameters"):
        if any(isinstance(row.get(name), str) for row in table.rows):
            columns[name] = [None] * len(sizes)
    table.check_devices("dataset")
    table.check_work()
    return table.under(columns)


def to_variants(rows: Sequence[Row], names: Names, compared: str) -> Foreign:
    """Return a table of results to pair by their repeats.

    Parameters
    ----------
    rows : sequence of dict
        One a repeat.
    names : Names
        What its columns are called.
    compared : str
        The column whose values are compared, such as ``"backend"``.

    Raises
    ------
    GreenbenchError
        As `to_results` does.
    """
    if find_if_any(rows, None, (compared,), compared) is None:
        raise UnknownNameError("column", compared, rows[0])
    find(rows, names.seed, SEED, "seed")
    table = _Table.of(rows, names, compared, (compared,), TEST_ACCURACY, needs_score=False)
    duration = find_if_any(table.rows, None, DURATION, "duration")
    columns: dict[str, Sequence[Any]] = {
        "test_score": table.scores(),
        "duration_s": cells.durations(table.rows, duration),
        compared: cells.texts(table.rows, table.compared),
    }
    table.check_devices("dataset")
    # A practice may well be to train less.
    if compared != "practice":
        table.check_work()
    return table.under(columns)


def to_factorial(rows: Sequence[Row], factors: Sequence[str], response: str) -> Foreign:
    """Return a table of samples to explain by factors, under its own names.

    Parameters
    ----------
    rows : sequence of dict
        One a sample.
    factors : sequence of str
        Columns of categories.
    response : str
        A column of numbers.

    Raises
    ------
    UnknownNameError
        If a column is not there.
    ConfigurationError
        If a cell is not what it must be.
    NotComparableError
        If rows differ in what they ran on, or in what was trained, and that is no factor.
    """
    rows, notes = _completed(rows)
    check_factorial(rows, factors, response)
    is_energy = plain(response) in ENERGY_NAMES or bool(UNIT.search(response))
    is_score = plain(response) in TEST_ACCURACY
    rows, copies = once(rows, energy_in(rows) if is_score else response)
    if is_energy:
        seed = find_if_any(rows, None, SEED, "seed")
        rows, more = measured_once(rows, factors, response, None, seed)
        copies = [*copies, *more]
    alike = (*DEVICE, *WORK) if is_energy else WORK
    check_agree(response, rows, _among(rows, alike, (*factors, "practice")))
    return Foreign(_scores_once(rows, factors, response), (), (*notes, *copies))


def check_factorial(rows: Sequence[Row], factors: Sequence[str], response: str) -> None:
    """Refuse a table in which a level or a response is missing, or is none.

    Parameters
    ----------
    rows, factors, response
        As of `to_factorial`.

    Raises
    ------
    UnknownNameError, ConfigurationError
        As it does.
    """
    for factor in factors:
        cells.texts(rows, named(rows, factor))
    if plain(named(rows, response)) in TEST_ACCURACY:
        found = cells.accuracies(rows, response)
    else:
        least = 0.0 if response in ENERGY_NAMES else -LARGEST
        found = cells.figures(rows, response, least=least)
    for row, value in zip(rows, found, strict=True):
        if value is None:
            raise cells.bad(row, response, "", "a number")


def with_options(rows: Sequence[Row]) -> list[Row]:
    """Return results with a column for each option of their architectures, to explain by."""
    options = [json.loads(row.get("options") or "{}") for row in rows]
    return [{**found, **row} for found, row in zip(options, rows, strict=True)]


def responses(rows: Sequence[Row]) -> list[str]:
    """Return what is to be explained if nobody says: energy and the score.

    Raises
    ------
    ConfigurationError
        If there is neither.
    """
    if rows[0].get("case_hash"):
        is_accuracy = score_of(rows[0]).name == ACCURACY.name
        scored: str | None = OLDER_NAMES["test_score"] if is_accuracy else "test_score"
    else:
        scored, _ = find_scored(rows, Names(), TEST_ACCURACY, needs_score=False)
    energy = find_if_any(rows, None, ENERGY_NAMES, "response")
    known = [name for name in (energy, scored) if name is not None]
    if not known:
        raise ConfigurationError(
            "no column of energy or accuracy is to be explained; name one with `--response`"
        )
    return known


@dataclass(frozen=True)
class _Table:
    """What all questions need to know of a foreign table."""

    rows: list[Row]
    names: Names
    compared: str
    energy: str
    scored: str | None
    seed: str | None
    score: Score
    group: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        rows: Sequence[Row],
        names: Names,
        what: str,
        usual: Sequence[str],
        accuracies: Sequence[str],
        *,
        needs_score: bool = True,
        ended: Callable[[Sequence[Row]], tuple[list[Row], list[str]]] | None = None,
    ) -> "_Table":
        """Find the columns, take the rows of runs that ended (well), and count copies once."""
        compared = find(rows, getattr(names, what, None), usual, what)
        energy = find(rows, names.energy, ENERGY_NAMES, "energy")
        scored, score = find_scored(rows, names, accuracies, needs_score=needs_score)
        seed = find_if_any(rows, names.seed, SEED, "seed")
        if names.group is None:
            group = groups_of(rows, (scored, names.energy, names.seed, compared))
        else:
            group = tuple(named(rows, name) for name in names.group)
        kept, notes = (ended or _completed)(rows)
        kept, copies = once(kept, energy)
        # A cell that is none is named before anything is compared.
        cells.energies(kept, energy, names.energy_unit)
        if ended is None:
            kept, more = measured_once(kept, (compared, *group), energy, scored, seed)
            copies += more
        return cls(kept, names, compared, energy, scored, seed, score, group, (*notes, *copies))

    def with_rows(self, rows: list[Row]) -> "_Table":
        """Return the same table with its rows in another order."""
        return _Table(rows, **{k: v for k, v in vars(self).items() if k != "rows"})

    def scores(self) -> list[float | None]:
        """Return scores: accuracies as shares, others as they are."""
        if self.scored is None or self.score == ACCURACY:
            return cells.accuracies(self.rows, self.scored, self.names.accuracy_unit)
        return cells.scores(self.rows, self.scored)

    @property
    def score_in_words(self) -> str:
        """What the column says that its scores are."""
        if self.score == ACCURACY:
            return in_words(str(self.scored))
        return score_in_words(str(self.scored), self.score)

    def shared(self, row: Row) -> str:
        """Return what a row shares with others of its group, in words."""
        return ", ".join(cells.text(row[name]) for name in self.group if row[name] is not None)

    def check_devices(self, *further: str) -> None:
        """Refuse a group whose energies are of several devices, or that differs in `further`."""
        used = (*self.group, self.compared)
        for where, members in self._apart(self.shared).items():
            known = [row for row in members if row[self.energy] is not None]
            check_agree(where or "all rows", known, _among(self.rows, DEVICE, used))
            check_agree(where or "all rows", members, _among(self.rows, further, used))

    def check_work(self) -> None:
        """Refuse to average over what was trained differently."""
        columns = _among(self.rows, WORK, (*self.group, self.compared))

        def case(row: Row) -> str:
            shared = self.shared(row)
            return f"{cells.text(row[self.compared])}{shared and f' in {shared}'}"

        for where, members in self._apart(case).items():
            check_agree(where, members, columns)

    def _apart(self, name_of: Callable[[Row], str]) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(name_of(row), []).append(row)
        return found

    def under(self, columns: Mapping[str, Sequence[Any]], order: str | None = None) -> Foreign:
        """Return the table with columns of our own names, and say which columns were read."""
        what = "accuracy" if self.score == ACCURACY else "score"
        used = {"energy": self.energy, what: self.scored, "compared": self.compared}
        used |= {"seed": self.seed, "order": order}
        said = ", ".join(f"{what} {name}" for what, name in used.items() if name is not None)
        if not self.score.higher_is_better:
            said += f"; of {self.scored}, lower is better"
        size = len(self.rows)
        ours = {
            "energy_wh": cells.energies(self.rows, self.energy, self.names.energy_unit),
            "repeat": cells.texts(self.rows, self.seed) if self.seed else [None] * size,
            **columns,
            **{name: [text] * size for name, text in columns_of(self.score).items()},
        }
        rows = [
            {**row, **dict(zip(ours, values, strict=True))}
            for row, values in zip(self.rows, zip(*ours.values(), strict=True), strict=True)
        ]
        return Foreign(rows, self.group, (*self.notes, f"columns read: {said}"))


def _among(rows: Sequence[Row], usual: Sequence[str], used: Sequence[str]) -> dict[str, str]:
    """Return the columns that are called so, but for those that are used, and their names."""
    words = {"dataset": "data set", **ENERGY}
    found = [column for column in rows[0] if plain(column) in usual and column not in used]
    return {column: words.get(column, column) for column in found}


def _completed(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    ended, notes = settled(rows)
    kept, others = completed(ended)
    return kept, [*notes, *others]


def _scores_once(rows: Sequence[Row], factors: Sequence[str], response: str) -> list[Row]:
    """Return rows in which an accuracy that one seed gave again counts once."""
    seed = find_if_any(rows, None, SEED, "seed")
    if seed is None or seed in factors or plain(response) not in TEST_ACCURACY:
        return list(rows)
    columns = (*factors, seed, response)
    return list({tuple(cells.text(row[name]) for name in columns): row for row in rows}.values())
