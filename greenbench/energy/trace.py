"""Traces of power or of energy counters over time, from CSV files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from greenbench.errors import ConfigurationError
from greenbench.results.readings import CEILING_W, SLOWEST_TICK_S, Provenance

TIME = "time_s"
COLUMNS = tuple(f"{part}_{unit}" for part in ("cpu", "gpu", "ram") for unit in ("w", "j"))
TOLERANCE_S = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """Power of one component, linear within segments that follow one another.

    Attributes
    ----------
    start_s, end_s, start_w, end_w : ndarray of float64, shape (n,)
        Times and powers at both ends of each segment; NaN where power is unknown.
    gap : str
        What it has where power is unknown, for people.
    """

    start_s: Floats
    end_s: Floats
    start_w: Floats
    end_w: Floats
    gap: str = "a gap"

    @classmethod
    def of_power(cls, times_s: Floats, power_w: Floats) -> "Trace":
        """Build a trace from power readings; after a NaN it is unknown until the next one."""
        start_w, end_w = power_w[:-1], power_w[1:]
        return cls._of(times_s, start_w, np.where(np.isnan(end_w), start_w, end_w))

    @classmethod
    def of_counter(
        cls, times_s: Floats, energy_j: Floats, wraps_at_j: float, ceiling_w: float = math.inf
    ) -> "Trace":
        """Build a trace from readings of an energy counter; NaN if it never wraps around.

        A reading that is missing (NaN) loses nothing: the next one holds its energy, too. A
        step of more power than there can be is none: the counter was reset.
        """
        known = ~np.isnan(energy_j)
        times_s, energy_j = times_s[known], energy_j[known]
        # Of several readings of one moment, the last holds what the others do.
        last = np.append(np.diff(times_s) > 0, True)[: len(times_s)]
        times_s, steps_j = times_s[last], np.diff(energy_j[last])
        steps_j = np.where(steps_j < 0, steps_j + wraps_at_j, steps_j)
        seconds = np.diff(times_s)
        are_possible = steps_j <= ceiling_w * (seconds + SLOWEST_TICK_S)
        power_w = np.where(are_possible, steps_j / seconds, np.nan)
        trace = cls._of(times_s, power_w, power_w)
        return replace(trace, gap="a counter that was reset")

    @classmethod
    def _of(cls, times_s: Floats, start_w: Floats, end_w: Floats) -> "Trace":
        lasting = np.diff(times_s) > 0
        return cls(times_s[:-1][lasting], times_s[1:][lasting], start_w[lasting], end_w[lasting])

    def energy_j(self, start_s: float, end_s: float) -> float | None:
        """Return the joules between two times; None if some of the power is unknown."""
        low = np.clip(start_s, self.start_s, self.end_s)
        high = np.clip(end_s, self.start_s, self.end_s)
        touched = high > low
        covered_s = float((high - low)[touched].sum())
        if covered_s < end_s - start_s - TOLERANCE_S:
            return None
        mean_w = self._power_w((low + high) / 2)
        energy_j = float((mean_w * (high - low))[touched].sum())
        return None if np.isnan(energy_j) else energy_j

    def _power_w(self, at_s: Floats) -> Floats:
        share = (at_s - self.start_s) / (self.end_s - self.start_s)
        power: Floats = self.start_w + (self.end_w - self.start_w) * share
        return power


def load_traces(path: Path) -> tuple[dict[str, Trace], Provenance]:
    """Return the traces of a file by component, and the provenance that it declares.

    Raises
    ------
    ConfigurationError
        If the file cannot be read as a trace.
    """
    try:
        notes = dict(map(_note, path.read_text(encoding="utf-8-sig").splitlines()))
        table = pd.read_csv(path, comment="#", dtype=float, skipinitialspace=True)
        wraps = {name: float(notes.get(f"{name} wraps at", "nan")) for name in COLUMNS}
        provenance = Provenance(notes.get("provenance", Provenance.MODEL.value))
        if provenance is Provenance.NONE:
            raise ValueError("a trace holds energy, so that its provenance cannot be 'none'")
        columns = _components_of(table)
    except (OSError, ValueError) as error:
        text = " ".join(str(error).split())
        raise ConfigurationError(f"trace {path} cannot be read: {text}") from error
    times_s = table[TIME].to_numpy()
    traces = {
        column[:3]: _trace(column, times_s, table[column].to_numpy(), wraps) for column in columns
    }
    return traces, provenance


def _components_of(table: pd.DataFrame) -> list[str]:
    """Return the columns with energy or power; raise ValueError unless they can be replayed."""
    columns = [str(column) for column in table.columns if column != TIME]
    are_known = TIME in table and bool(columns) and set(columns) <= set(COLUMNS)
    if not are_known or len({column[:3] for column in columns}) < len(columns):
        raise ValueError(
            f"its columns are {', '.join(map(str, table.columns))}; expected {TIME}, and for "
            f"each component one of {', '.join(COLUMNS)}"
        )
    # Of rows that are longer than the header, pandas takes the first cells for names.
    if not isinstance(table.index, pd.RangeIndex) or np.isinf(table.to_numpy()).any():
        raise ValueError("each row needs a finite number, or nothing, for each column")
    if len(table) <= 1 or not table[TIME].is_monotonic_increasing:
        raise ValueError(f"it needs two rows or more, in the order of {TIME}")
    return columns


def _trace(column: str, times_s: Floats, values: Floats, wraps: Mapping[str, float]) -> Trace:
    if column.endswith("_w"):
        return Trace.of_power(times_s, values)
    return Trace.of_counter(times_s, values, wraps[column], CEILING_W[column[:3]])


def _note(line: str) -> tuple[str, str]:
    name, _, value = line.lstrip("# ").partition(":")
    return (name.strip(), value.strip()) if line.startswith("#") else ("", "")
