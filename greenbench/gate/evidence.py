"""What a limit of a case is judged by: which samples count, and which earlier ones compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Any

from greenbench.compare.comparable import value_of
from greenbench.compare.samples import is_left_out
from greenbench.gate.baselines import Baseline
from greenbench.gate.bounds import SESSIONS, session_noise
from greenbench.gate.limits import Limit
from greenbench.gate.metrics import METRICS, Kind, Metric
from greenbench.results.readings import Provenance
from greenbench.results.scope import total_of
from greenbench.results.scores import score_of
from greenbench.tasks import Score

Row = Mapping[str, Any]

EARLIER = 10
"""Sessions of a baseline that count: a machine of last year is another one."""

NEEDED_ALIKE = {
    Kind.COUNT: {},
    Kind.SCORE: {"case_hash": "definition", "score": "score"},
    Kind.ENERGY: {
        "case_hash": "definition",
        "cpu": "CPU",
        "device": "device",
        "host": "host",
        "threads": "number of threads",
        "meter": "energy source",
        "cpu_tdp_w": "TDP of the CPU",
        "energy_provenance": "energy source",
        "energy_scope": "energy scope",
    },
    Kind.TIME: {
        "case_hash": "definition",
        "cpu": "CPU",
        "device": "device",
        "host": "host",
        "threads": "number of threads",
    },
}
"""Columns in which a baseline must agree, by kind of metric, and what they are called."""
OF_TIME = ("host", "threads")
"""Those of energies that times of one comparison must agree in, too."""


@dataclass(frozen=True)
class Evidence:
    """What is known of one limit of one case.

    Attributes
    ----------
    limit : Limit
        What is judged.
    rows, known : sequence of row
        Results of the case, and those of the baseline.
    baseline : Baseline or None
        Where those are from.
    include_disturbed : bool
        Whether samples count during which other processes used the host.
    history : sequence of row
        Other results of the case, of which the noise between sessions is learned.
    is_repeated : bool
        Whether repeats are added, and this is asked after each, until it is decided.
    """

    limit: Limit
    rows: Sequence[Row]
    known: Sequence[Row]
    baseline: Baseline | None
    include_disturbed: bool
    history: Sequence[Row] = ()
    is_repeated: bool = False

    @property
    def metric(self) -> Metric:
        """What is judged."""
        return METRICS[self.limit.metric]

    @property
    def is_measured(self) -> bool:
        """Whether the energies that are known are measured."""
        rows = self.known_values(self.rows)
        return all(Provenance(row["energy_provenance"]).is_measured for row in rows)

    @property
    def score(self) -> Score:
        """What the case's score is; limits of other metrics don't ask."""
        return score_of(self.rows[0])

    def sessions(self, rows: Sequence[Row]) -> dict[str, list[float]]:
        """Return the values of each session."""
        found: dict[str, list[float]] = {}
        for row in rows:
            found.setdefault(row["session"], []).append(row[self.metric.column])
        return found

    @property
    def _earlier(self) -> list[list[float]]:
        """The values of earlier sessions, of the baseline or the store, whichever knows more."""
        known = (self.counted(self.comparable(rows)) for rows in (self.known, self.history))
        values = [list(self.sessions(rows).values()) for rows in known]
        return max(([each for each in one if min(each) > 0] for one in values), key=len)

    @property
    def noise(self) -> tuple[float, float]:
        """The noise between sessions, as a share, and the degrees of freedom of its estimate."""
        earlier = [] if self.limit.is_noise_known else self._earlier
        if len(earlier) < SESSIONS:
            return self.limit.session_noise, inf
        return session_noise(earlier), len(earlier) - 1

    @property
    def is_noise_assumed(self) -> bool:
        """Whether a stored baseline is compared with, and nobody knows how sessions differ."""
        is_stored = self.limit.is_sequential and self.baseline is not None and not self.is_in_turn
        return is_stored and not self.limit.is_noise_known and len(self._earlier) < SESSIONS

    def uncertainty(self, rows: Sequence[Row]) -> float:
        """Return the share of a sample's energy that ticks leave open; 0 where nobody knows."""
        if self.metric.kind is not Kind.ENERGY:
            return 0.0
        shares = [
            row["uncertainty_wh"] / row["energy_wh"]
            for row in rows
            if row.get("uncertainty_wh") is not None and row.get("energy_wh")
        ]
        return median(shares) if shares else 0.0

    @property
    def is_in_turn(self) -> bool:
        """Whether the baseline was measured in turn with what is judged."""
        return self.baseline is not None and self.baseline.is_interleaved

    @property
    def has_looks(self) -> bool:
        """Whether this is one look of several, each at more samples."""
        return self.is_repeated or self.is_in_turn

    @property
    def is_noisy(self) -> bool:
        """Whether the same code costs something else each time."""
        return self.metric.kind in (Kind.ENERGY, Kind.TIME)

    @property
    def here(self) -> Row:
        """Return a result that says where this was measured: one without energy does not."""
        return next(iter(self.known_values(self.rows)), self.rows[0])

    def known_values(self, rows: Sequence[Row]) -> list[Row]:
        """Return those of some results that have the metric."""
        return [row for row in rows if row.get(self.metric.column) is not None]

    def counted(self, rows: Sequence[Row]) -> list[Row]:
        """Return those of some results that are samples."""
        known = self.known_values(rows)
        if self.include_disturbed or not self.is_noisy:
            return known
        return [row for row in known if not is_left_out(row, self.metric.column)]

    def values(self, rows: Sequence[Row]) -> tuple[float, ...]:
        """Return the metric of some results."""
        return tuple(row[self.metric.column] for row in rows)

    @property
    def needed_alike(self) -> Mapping[str, str]:
        """Columns in which earlier results must agree, and what they are called."""
        alike = NEEDED_ALIKE[self.metric.kind]
        if self.metric.name != "emissions_g":
            return alike
        # Of another grid, they say nothing of the code.
        return {**alike, "intensity_g_per_kwh": "carbon intensity"}

    def comparable(self, earlier: Sequence[Row]) -> list[Row]:
        """Return those of earlier results that this limit may be judged by."""
        alike = self.needed_alike
        here = self.here
        rows = [r for r in earlier if all(self.before(r, c) == told(here, c) for c in alike)]
        if self.metric.kind in (Kind.COUNT, Kind.SCORE):
            return latest(rows)
        # What cost another number of operations then is another thing than what costs it now.
        now = [row.get("train_flops") for row in latest(rows)]
        rows = [row for row in rows if row.get("train_flops") in now]
        recent = list(dict.fromkeys(row["session"] for row in reversed(rows)))[:EARLIER]
        return [row for row in rows if row["session"] in recent]

    def pairs(self, rows: Sequence[Row], known: Sequence[Row]) -> tuple[list[float], list[float]]:
        """Return values of the repeats that both have, which had the same seeds."""
        column = self.metric.column
        before = {row["repeat"]: row[column] for row in known}
        common = self.in_both(rows, known)
        has_same_seeds = rows[0].get("case_hash") == known[0].get("case_hash")
        if self.metric.kind is Kind.COUNT and not (common and has_same_seeds):
            return [max(self.values(rows))], [max(before.values())]
        return [row[column] for row in common], [before[row["repeat"]] for row in common]

    def in_both(self, rows: Sequence[Row], known: Sequence[Row]) -> list[Row]:
        """Return the results of repeats that the baseline has, too."""
        repeats = {row["repeat"] for row in known}
        return [row for row in rows if row["repeat"] in repeats]

    @property
    def needed(self) -> int:
        """How many samples are needed on each side."""
        is_sequential = self.is_in_turn and self.limit.is_sequential
        return self.limit.pairs if is_sequential else self.limit.rounds

    def before(self, row: Row, column: str) -> Any:
        """Return what a row of the baseline says in a column that must agree."""
        value = told(row, column)
        if value is None and column == "energy_scope":
            # Before it was told, all counted that there is on this machine.
            return total_of(self.here)
        return value


def told(row: Row, column: str) -> Any:
    """Return what a row says in a column; of scores, their name."""
    return score_of(row).name if column == "score" else value_of(row, column)


def latest(rows: Sequence[Row]) -> list[Row]:
    """Return the results of the latest session."""
    return [row for row in rows if row["session"] == rows[-1]["session"]]
