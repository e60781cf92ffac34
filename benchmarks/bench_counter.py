"""How well phases are told from a counter that ticks: `python benchmarks/bench_counter.py`.

A made-up GPU: its counter ticks every 100 ms, runs behind, and is read by a reader that is late by
up to 3 ms; power takes its time at edges. Known joules of `train` are compared with what several
methods make of the ticks. The joules of a phase are those used while it lasted. As in a worker's
life, a calibration and some repeats make up a session, of one device.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.signal import lfilter
from scipy.stats import t as student

from greenbench.energy.calibration import bursts
from greenbench.energy.counter import Counter
from greenbench.energy.counter_values import Ticks
from greenbench.energy.habits import Habit
from greenbench.energy.lateness import Demand, Transient
from greenbench.energy.phase_lock import SHARE
from greenbench.energy.plausibility import Evidence
from greenbench.energy.regression import Regression, Work
from greenbench.energy.sampler import Sampled, follow
from greenbench.energy.ticks import Apportioned, Segments, apportion

Floats = NDArray[np.float64]
Row = dict[str, Any]

STEP_S = 0.0005
LATEST_S = 0.003
MODEL = {
    "tick_s": 0.0998,
    "tick_deviation_s": 0.001,
    "tick_range_s": [0.0978, 0.1025],
    "lag_s": [0.0, 0.03],
    "reader_late_s": [0.0, LATEST_S],
    "train_w": 670,
    "other_w": [123, 153],
    "evaluate_w": [300, 550],
    "search_w": [123, 183],
    "between_segments": 0.01,
    "within_segments": 0.01,
}
# Seconds of a train window, and how many a repeat has.
WINDOWS = {"40 × 0.05 s": (0.05, 40), "0.2 s": (0.2, 1), "1 s": (1.0, 1), "3 s": (3.0, 1)}
WINDOWS |= {"64 × 0.15 s": (0.15, 64)}
# Seconds: time constants, or lengths of a ramp; of an uneven one, up and down.
TRANSIENTS: Mapping[str, tuple[float, ...]] = {
    "none": (),
    "decay of 20 ms": (0.02, 0.02),
    "decay of 60 ms": (0.06, 0.06),
    "decay of 150 ms": (0.15, 0.15),
    "ramp of 50 ms": (0.05,),
    "ramp of 150 ms": (0.15,),
}
UNEVEN = "up 20 ms, down 80 ms"
CALIBRATION = "calibration"
REPEATS = 4
READS_S = (30e-6, 0.003)
"""What it takes to read NVML on bare metal, and in a virtual machine."""
BEFORE = 60
"""Ticks that our sampler has followed before a repeat."""
WAKES_S = 80e-6
"""By how much who sleeps wakes up late, on average."""


@dataclass(frozen=True)
class Job:
    """A session that is simulated.

    Attributes
    ----------
    window, transient : str
        What its repeats train, and how power follows.
    seed, run : int
        Decide what is drawn.
    integrated : float
        The share of the time that the counter integrates, at the end of each tick.
    is_calibrated : bool
        Whether it begins with bursts of work.
    is_steady : bool
        Whether all of it has one lag.
    read_s : float or None
        How long a read takes of our sampler, which follows the ticks; None for a reader that is
        late by up to 3 ms, at random.
    """

    window: str
    transient: str
    seed: int
    run: int
    integrated: float = 1.0
    is_calibrated: bool = True
    is_steady: bool = True
    read_s: float | None = None


@dataclass(frozen=True)
class Repeat:
    """A repeat of which everything is known; of our sampler, the share of a core it reads."""

    ticks: Ticks
    segments: Segments
    late_s: float
    used_j: Floats
    share: float = 0.0

    def of(self, phase: str, joules: Floats) -> float:
        """Return the sum over the segments of a phase."""
        return float(joules[np.array(self.segments.phases) == phase].sum())


def make(
    window: str,
    transient: str,
    rng: np.random.Generator,
    integrated: float = 1.0,
    lag_s: float | None = None,
    *,
    read_s: float | None = None,
) -> Repeat:
    """Return a repeat; the counter integrates only a share of the time, the end of each tick.

    Its lag is drawn by default; for `read_s`, see `Job`.
    """
    phases, lengths = _bursts(rng) if window == CALIBRATION else _schedule(*WINDOWS[window], rng)
    # At steps: one within an edge would draw the mean of both powers, as if power took its length.
    edges = np.round(np.concatenate(([0.0], np.cumsum(lengths))) / STEP_S) * STEP_S
    levels = {"other": 123 + rng.uniform(0, 30), "train": 670.0}
    levels |= {"evaluate": rng.uniform(300, 550), "search": 123 + rng.uniform(0, 60)}
    power = np.array([levels[phase] for phase in phases]) * rng.normal(1, 0.01, len(phases))
    grid = np.arange(-2.0, edges[-1] + 1.0, STEP_S)
    outer = np.concatenate(([-3.0], edges[1:-1], [edges[-1] + 3.0]))
    summed = np.concatenate(([0.0], np.cumsum(power * np.diff(outer))))
    asked = np.diff(np.interp(grid, outer, summed)) / STEP_S
    kept = np.exp(-STEP_S / 0.01)
    noise = lfilter([np.sqrt(1 - kept**2)], [1, -kept], rng.normal(size=asked.size))
    drawn = _follow(asked, {**TRANSIENTS, UNEVEN: (0.02, 0.08)}[transient]) * (1 + 0.01 * noise)
    counted = np.concatenate(([0.0], np.cumsum(drawn * STEP_S)))
    lag_s = rng.uniform(0, 0.03) if lag_s is None else lag_s
    spacing = _spacing(rng, int(edges[-1] / 0.0978) + 8)
    ticks = -0.2 - rng.uniform(0, 0.1) + np.cumsum(spacing)
    ticks = ticks[ticks < edges[-1] + 0.4]
    values = np.interp(ticks - lag_s, grid, counted)
    if integrated < 1:
        seen = values - np.interp(ticks - lag_s - 0.1 * integrated, grid, counted)
        values = np.cumsum(seen / integrated)
    used_j = np.diff(np.interp(edges, grid, counted))
    if read_s is not None:
        seen, share = followed(ticks, values, rng, read_s)
        return Repeat(seen, Segments(edges, phases), lag_s, used_j, share)
    seen_s = ticks + rng.uniform(0, LATEST_S, ticks.size)
    late_s = lag_s + LATEST_S / 2
    return Repeat(Ticks(seen_s, values), Segments(edges, phases), late_s, used_j)


def followed(
    ticks_s: Floats, values: Floats, rng: np.random.Generator, read_s: float
) -> tuple[Ticks, float]:
    """Return what our sampler tells of ticks, in simulated time, and the share of it that it reads.

    It has followed others before them.
    """
    before_s = ticks_s[0] - np.cumsum(_spacing(rng, BEFORE))[::-1]
    all_s = np.concatenate((before_s, ticks_s))
    now, reads = [float(before_s[0]) + 0.05], [0]

    def read_j() -> float:
        now[0] += read_s
        reads[0] += now[0] > ticks_s[0]
        return float(np.searchsorted(all_s, now[0] - read_s / 2, "right"))

    def sleep(seconds: float) -> None:
        now[0] += seconds + rng.exponential(WAKES_S)

    until_s = float(ticks_s[-1]) + 0.05
    counter = Counter("gpu", "", "", None, None, read_j)
    # As much CPU time as time passes: it is the driver that a read waits for.
    sampled = Sampled(counter, lambda: now[0], lambda: now[0], SHARE)
    follow([sampled], lambda: now[0], sleep, lambda: now[0] < until_s)
    seen_s, _, within_s, count = np.frombuffer(sampled.take()[1]).reshape(4, -1)
    at = count.astype(int) - 1 - BEFORE
    told = Ticks(seen_s[at >= 0], values[at[at >= 0]], within_s[at >= 0])
    return told, reads[0] * read_s / (now[0] - float(ticks_s[0]))


def _spacing(rng: np.random.Generator, count: int) -> Floats:
    return np.clip(rng.normal(0.0998, 0.001, count), 0.0978, 0.1025)


def _schedule(
    window_s: float, count: int, rng: np.random.Generator
) -> tuple[list[str], list[float]]:
    """Return phases and seconds: a start, trials that search, train and evaluate, and an end."""
    parts = [("other", rng.uniform(0.5, 1.5))]
    for _ in range(count):
        parts += [("search", rng.uniform(0.005, 0.05)), ("other", rng.uniform(0.005, 0.02))]
        parts += [("train", window_s), ("other", rng.uniform(0.003, 0.01))]
        parts += [("evaluate", max(0.03, window_s / 5)), ("other", rng.uniform(0.02, 0.1))]
    parts += [("evaluate", rng.uniform(0.1, 0.3)), ("other", rng.uniform(0.3, 1.0))]
    return [phase for phase, _ in parts], [length for _, length in parts]


def _bursts(rng: np.random.Generator) -> tuple[list[str], list[float]]:
    """Return those of a calibration: a burst ends after the batch in which its time is up."""
    parts = [
        part
        for rest_s, busy_s in bursts(0.1)
        for part in (("other", rest_s), ("train", busy_s + rng.uniform(0, 0.01)))
    ]
    parts.append(("other", 0.2))
    return [phase for phase, _ in parts], [length for _, length in parts]


def _follow(asked: Floats, widths: tuple[float, ...]) -> Floats:
    """Return the power drawn when one is asked for: a moving mean, or a decay up and down.

    Both are means over a step. Power at its end would run ahead by half of it, and who finds the
    lag to a tenth of a millisecond would be told a wrong one.
    """
    if not widths:
        return asked
    if len(widths) == 1:
        count = int(widths[0] / STEP_S)
        kernel = np.full(count + 1, 1 / count)
        kernel[[0, -1]] /= 2
        return np.convolve(np.concatenate((np.full(count, asked[0]), asked)), kernel, "valid")
    up, down = (1 - np.exp(-STEP_S / width) for width in widths)
    drawn, power = np.empty(asked.size + 1), float(asked[0])
    drawn[0] = power
    for at, wanted in enumerate(asked.tolist(), 1):
        power += (up if wanted > power else down) * (wanted - power)
        drawn[at] = power
    return np.asarray((drawn[1:] + drawn[:-1]) / 2)


def raw_edges(repeat: Repeat) -> float:
    """Read the counter at each edge, as a window meter does."""
    times, edges = repeat.ticks.times_s, repeat.segments.edges_s
    read = repeat.ticks.energy_j[np.searchsorted(times, edges, "right") - 1]
    return repeat.of("train", np.diff(read))


def interpolation(repeat: Repeat) -> float:
    """Interpolate the counter between ticks."""
    ticks = repeat.ticks
    return repeat.of(
        "train", np.diff(np.interp(repeat.segments.edges_s, ticks.times_s, ticks.energy_j))
    )


def regression(repeat: Repeat) -> float:
    """Regress ticks on seconds, the lag by residual: a power a phase, times its seconds."""
    work, names = _work(repeat)
    into = (work.phase[:, None] == np.arange(len(names))).astype(float)
    demand = Demand(work.outer_s, into)

    def fit(lag_s: float) -> tuple[float, float]:
        seconds = np.diff(demand.joules(work.times_s - lag_s, Transient("none")), axis=0)
        power, norm = nnls(seconds, work.joules)
        return float(norm), float(power[names.index("train")])

    _, power = min(fit(lag) for lag in np.linspace(0, work.tick_s, 51))
    return power * repeat.of("train", np.diff(work.edges_s))


def shared_no_lag(repeat: Repeat) -> float:
    """Share each tick out, as if the counter never ran behind and power followed at once."""
    return _shared(repeat, [Transient("none")], 1e-6)


def shared_lag(repeat: Repeat) -> float:
    """Share each tick out, with a lag, as if power followed at once."""
    return _shared(repeat, [Transient("none")], None)


def alone(repeat: Repeat) -> float:
    """Do as greenbench does, and know nothing of the session."""
    return apportion(repeat.ticks, repeat.segments).phase_j["train"]


def known_lag(repeat: Repeat) -> float:
    """Do as greenbench does, and know the lag."""
    ticks = Ticks(repeat.ticks.times_s - repeat.late_s, repeat.ticks.energy_j)
    told = Repeat(ticks, repeat.segments, 0.0, repeat.used_j)
    return _shared(told, None, 1e-6)


def _shared(repeat: Repeat, tried: list[Transient] | None, longest_s: float | None) -> float:
    work, _ = _work(repeat)
    found = Evidence(Regression(work), None, tried, longest_s).explanations
    return apportion(repeat.ticks, repeat.segments, found).phase_j["train"]


def _work(repeat: Repeat) -> tuple[Work, list[str]]:
    names = sorted(set(repeat.segments.phases))
    phase = np.array([names.index(name) for name in repeat.segments.phases])
    times = repeat.ticks.times_s
    joules, edges = np.diff(repeat.ticks.energy_j), repeat.segments.edges_s
    return Work(times, joules, edges, phase, float(np.median(np.diff(times)))), names


Method = Callable[[Repeat], float]
OTHERS: Mapping[str, Method] = {
    "raw edges": raw_edges,
    "interpolation at edges": interpolation,
    "regression, lag fitted": regression,
    "shared, no lag, no transient": shared_no_lag,
    "shared, lag, no transient": shared_lag,
    "greenbench, of one repeat alone": alone,
    "greenbench, if the lag were known": known_lag,
}
OURS = "greenbench"


def session(job: Job, methods: Mapping[str, Method] | None = None) -> list[Row]:
    """Return, for each repeat of a session, errors, and whether intervals hold the truth."""
    rng = np.random.default_rng([job.seed, job.run, *job.window.encode(), *job.transient.encode()])
    lag_s, habit = rng.uniform(0, 0.03), Habit()
    if methods is None:
        methods = OTHERS if job == Job(job.window, job.transient, job.seed, job.run) else {}
    if job.is_calibrated:
        made = make(CALIBRATION, job.transient, rng, job.integrated, lag_s, read_s=job.read_s)
        habit.learn(habit.evidence(made.ticks, made.segments))
    rows = []
    for place in range(REPEATS):
        if not job.is_steady:
            lag_s = rng.uniform(0, 0.03)
        repeat = make(job.window, job.transient, rng, job.integrated, lag_s, read_s=job.read_s)
        ours = habit.settle(repeat.ticks, repeat.segments)
        row = {"window": job.window, "transient": job.transient, "run": job.run, "place": place}
        rows.append({**row, **_judged(repeat, ours, {} if place else methods)})
    return rows


def _judged(repeat: Repeat, ours: Apportioned, methods: Mapping[str, Method]) -> Row:
    truth = repeat.of("train", repeat.used_j)
    errors = {name: method(repeat) / truth - 1 for name, method in methods.items()}
    phases: dict[str, float] = {}
    for phase, joules in zip(repeat.segments.phases, repeat.used_j.tolist(), strict=True):
        held = ours.booked_with.get(phase, phase)
        phases[held] = phases.get(held, 0.0) + joules
    held_by = [
        abs(ours.phase_j[phase] - joules) <= ours.phase_uncertainty_j[phase]
        for phase, joules in phases.items()
    ]
    off = abs(ours.total_j - float(repeat.used_j.sum()))
    trained = np.array(repeat.segments.phases) == "train"
    segments = np.abs(ours.energy_j - repeat.used_j) <= ours.segment_uncertainty_j
    return {
        "errors": {**errors, OURS: ours.phase_j["train"] / truth - 1},
        "stated": ours.phase_uncertainty_j["train"] / truth,
        "train_held": abs(ours.phase_j["train"] - truth) <= ours.phase_uncertainty_j["train"],
        "segments_held": float(np.mean(segments[trained])),
        "phases_held": float(np.mean(held_by)),
        "total_held": off <= ours.total_uncertainty_j,
        "share": repeat.share,
    }


def summary(rows: list[Row], method: str = OURS) -> Row:
    """Return bias and 95th percentile of the error of a method, as shares, and coverages."""
    rows = [row for row in rows if method in row["errors"]]
    errors = np.array([row["errors"][method] for row in rows])
    found = {"bias": float(errors.mean()), "deviation": float(errors.std())}
    found["p95_error"] = float(np.quantile(np.abs(errors), 0.95))
    if method == OURS:
        for name in ("train_held", "segments_held", "phases_held", "total_held"):
            found[name] = float(np.mean([row[name] for row in rows]))
        found["stated"] = float(np.median([row["stated"] for row in rows]))
    return {name: round(value, 5) for name, value in found.items()}


def in_common(rows: list[Row]) -> Row:
    """Return what errors of the repeats of a session have in common, and what it does to means.

    Variances between sessions and within them, by the analysis of variance of one factor.
    """
    kept: dict[tuple[str, int], list[float]] = {}
    stated: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        kept.setdefault((row["transient"], row["run"]), []).append(row["errors"][OURS])
        stated.setdefault((row["transient"], row["run"]), []).append(row["stated"])
    errors = np.array(list(kept.values()))
    count = errors.shape[1]
    means, within = errors.mean(1), float(errors.var(1, ddof=1).mean())
    between = max(float(np.mean(means**2)) - within / count, 0.0)
    spread = student.ppf(0.975, count - 1) * errors.std(1, ddof=1) / np.sqrt(count)
    found = {
        "own": np.sqrt(within),
        "common": np.sqrt(between),
        "mean_in_spread": np.mean(np.abs(means) <= spread),
        "mean_in_stated": np.mean(np.abs(means) <= np.array(list(stated.values())).mean(1)),
    }
    return {name: round(float(value), 5) for name, value in found.items()}


def headline(rows: list[Row]) -> Row:
    """Return errors by window, and how often totals and phases are within what is stated."""
    windows = [
        {
            "window_s": size,
            "windows_a_repeat": count,
            **summary([row for row in rows if row["window"] == name]),
        }
        for name, (size, count) in WINDOWS.items()
    ]
    return {
        "windows": [each for each in windows if each["window_s"] in (0.05, 0.2, 1.0, 3.0)],
        "coverage": _mean(rows, "total_held"),
        "phase_coverage": _mean(rows, "phases_held"),
    }


def tabulate(
    rows: list[Row],
    by_reader: Mapping[float, list[Row]],
    beyond: Mapping[str, list[Row]],
    runs: int,
    seed: int,
) -> Row:
    """Return what the JSON file holds."""
    of = {window: [row for row in rows if row["window"] == window] for window in WINDOWS}
    return {
        **headline(rows),
        "readers": [
            {
                "read_s": read_s,
                "share": _mean(found, "share"),
                "train_coverage": _mean(found, "train_held"),
                **headline(found),
            }
            for read_s, found in by_reader.items()
        ],
        "methods": [
            {"method": method, "window": window, **summary(of[window], method)}
            for method in (*OTHERS, OURS)
            for window in WINDOWS
        ],
        "first": _by_transient([row for row in rows if row["place"] == 0]),
        "later": _by_transient([row for row in rows if row["place"] > 0]),
        "sessions": [{"window": window, **in_common(of[window])} for window in WINDOWS],
        "beyond": [
            {"what": what, **row} for what, found in beyond.items() for row in _by_window(found)
        ],
        "model": MODEL,
        "runs": runs,
        "repeats": REPEATS,
        "seed": seed,
        "versions": {name: version(name) for name in ("numpy", "scipy")},
    }


def _mean(rows: list[Row], name: str) -> float:
    return round(float(np.mean([row[name] for row in rows])), 4)


def _by_transient(rows: list[Row]) -> list[Row]:
    return [
        {"transient": transient, **row}
        for transient in TRANSIENTS
        for row in _by_window([each for each in rows if each["transient"] == transient])
    ]


def _by_window(rows: list[Row]) -> list[Row]:
    return [
        {"window": window, **summary([row for row in rows if row["window"] == window])}
        for window in WINDOWS
    ]


@click.command()
@click.option("--runs", default=24, show_default=True, help="Sessions a window and transient.")
@click.option("--seed", default=1, show_default=True)
@click.option("--processes", default=2, show_default=True)
@click.option("--out", "--output", type=click.Path(path_type=Path))
def main(runs: int, seed: int, processes: int, out: Path | None) -> None:
    """Print the tables, and write them as JSON."""
    jobs = [
        Job(window, transient, seed, run)
        for window in WINDOWS
        for transient in TRANSIENTS
        for run in range(runs)
    ]
    fewer = range(-(-runs // 4))
    strange = {
        UNEVEN: [Job(window, UNEVEN, seed, run) for window in WINDOWS for run in fewer],
        "a quarter of the time": [
            Job(window, "none", seed, run, 0.25) for window in WINDOWS for run in fewer
        ],
        "no calibration": [replace(job, is_calibrated=False) for job in jobs if job.run in fewer],
        "another lag each repeat": [
            replace(job, is_steady=False) for job in jobs if job.run in fewer
        ],
    }
    with ProcessPoolExecutor(processes) as pool:
        rows = _all(pool.map(session, jobs, chunksize=4))
        by_reader = {
            read_s: _all(pool.map(session, [replace(job, read_s=read_s) for job in jobs]))
            for read_s in READS_S
        }
        beyond = {
            what: _all(pool.map(session, each, chunksize=4)) for what, each in strange.items()
        }
    found = tabulate(rows, by_reader, beyond, runs, seed)
    for name in ("windows", "methods", "first", "later", "sessions", "beyond"):
        for row in found[name]:
            click.echo(f"{name}: " + " ".join(f"{value}" for value in row.values()))
    for row in found["readers"]:
        click.echo("readers: " + " ".join(f"{value}" for value in row.values()))
    click.echo(f"coverage: {found['coverage']}, of phases {found['phase_coverage']}")
    if out:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _all(sessions: Iterable[list[Row]]) -> list[Row]:
    return [row for rows in sessions for row in rows]


if __name__ == "__main__":
    main()
