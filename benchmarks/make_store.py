"""A store as large as wished, for benchmarks: made-up results, logged once and multiplied.

    python benchmarks/make_store.py mlflow.db --runs 10000

A result a case is logged as greenbench logs it; the others are copies that SQL makes of the
runs, with ids, sessions, times and figures of their own. Logging them all would take hours.
"""

import argparse
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from greenbench.cases import Case
from greenbench.results import CaseResult, Costs, Epoch, Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.tracking import Store

FAMILIES = ("simple_cnn", "dense_poly", "dense_linear")
SIZES = ("s", "m", "l", "xl")
STRATEGIES = ("default", "random")
REPEATS = 5
CASES = len(FAMILIES) * len(SIZES) * len(STRATEGIES)
STARTED_AT = 1_700_000_000
SPACING_S = 60
FLOPS_PER_SAMPLE = 1_000_000
ENVIRONMENT = {"host": "0123456789ab", "cores": "2", "meter": "codecarbon", "commit": "abc"}
DATASET = {
    "name": "digits",
    "digest": "d" * 12,
    "source": "made up",
    "shape": [1, 8, 8],
    "classes": 10,
    "train": 1000,
    "validation": 200,
    "test": 200,
}

COPIES = """
CREATE TEMP TABLE copies AS
WITH RECURSIVE numbers(number) AS (
    SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < :numbers - 1
)
SELECT
    lower(hex(randomblob(16))) AS run,
    original.run_uuid AS original,
    number,
    number * :length_ms AS later_ms,
    0.95 + abs(random() % 100000) / 1e6 AS scale,
    abs(random() % 10000) / 1e6 AS shift
FROM numbers CROSS JOIN runs AS original
ORDER BY number, original.start_time
"""
"""Runs to make, and how they differ; `number` counts how often all cases have run."""

INDEX = "CREATE UNIQUE INDEX temp.of_original ON copies (number, original)"

FIGURE = """
CASE
    WHEN key GLOB 'energy/*' OR key GLOB 'time/*' THEN value * scale
    WHEN key GLOB 'accuracy/*' THEN value - shift
    ELSE value
END
"""

TAG = """
CASE key
    WHEN 'session' THEN 'session-' || (number / :repeats)
    WHEN 'key' THEN 'session-' || (number / :repeats) || '/' || original || number
    WHEN 'repeat' THEN number % :repeats
    WHEN 'mlflow.parentRunId' THEN
        (SELECT run FROM copies AS parent WHERE (number, original) = (copies.number, tags.value))
    ELSE value
END
"""

INPUT = "substr(input_uuid, 1, 4) || run"

CHANGED = {
    "runs": {
        "run_uuid": "run",
        "start_time": "start_time + later_ms",
        "end_time": "end_time + later_ms",
    },
    "tags": {"run_uuid": "run", "value": TAG},
    "params": {"run_uuid": "run"},
    "metrics": {"run_uuid": "run", "timestamp": "timestamp + later_ms", "value": FIGURE},
    "latest_metrics": {"run_uuid": "run", "timestamp": "timestamp + later_ms", "value": FIGURE},
    "inputs": {"destination_id": "run", "input_uuid": INPUT},
    "input_tags": {"input_uuid": INPUT},
}
"""What of each table's columns differs in a copy."""

RUN_OF = {"inputs": "destination_id", "input_tags": "destination_id"}
"""The column with the run, where it is not ``run_uuid``."""


def main() -> None:
    """Make a store where the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("database", type=Path)
    parser.add_argument("--runs", type=int, default=10_000, help="of cases, without their trials")
    options = parser.parse_args()
    print(f"{make_store(options.database, options.runs)} runs, with those of trials")


def make_store(database: Path, runs: int) -> int:
    """Make a store with at least `runs` repeats of cases; return the number of all its runs."""
    with TemporaryDirectory() as folder, closing(sqlite3.connect(database)) as connection:
        # What MLflow has open cannot be written without a log, which takes twice as long.
        logged = Path(folder) / "mlflow.db"
        store = Store(f"sqlite:///{logged}")
        for result in results():
            store.log_result(result, f"session-0/{result.case.id}.r0")
        with closing(sqlite3.connect(logged)) as source:
            source.backup(connection)
        _multiply(connection, -(-runs // CASES))
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


def results() -> Iterator[CaseResult]:
    """Yield a result a case: larger sizes cost more and reach more."""
    for number, (family, strategy, size) in enumerate(product(FAMILIES, STRATEGIES, SIZES)):
        case = Case(strategy=strategy, architecture=family, size=size, trials=2, repeats=REPEATS)
        grade = SIZES.index(size)
        yield _result(case, 36.0 * 2**grade, 0.99 - 0.1 / 2**grade, STARTED_AT + SPACING_S * number)


def _result(case: Case, energy_j: float, accuracy: float, started_at: float) -> CaseResult:
    trials = tuple(_trial(i, energy_j, accuracy, started_at) for i in range(case.trials))
    account = sum((trial.account for trial in trials), Account())
    samples = sum(trial.samples_seen for trial in trials)
    epochs = case.epochs * case.trials
    flops = FLOPS_PER_SAMPLE * samples
    return CaseResult(
        case=case,
        repeat=0,
        suite="made_up",
        trials=trials,
        test_score=accuracy,
        account=account,
        costs=Costs(1234, FLOPS_PER_SAMPLE, flops, samples, epochs, case.trials),
        emissions={"g_co2e": 0.01, "intensity_g_per_kwh": 400.0, "source": "made up"},
        environment=ENVIRONMENT,
        dataset=DATASET,
        wall_s=30.0,
        started_at=started_at,
    )


def _trial(index: int, energy_j: float, accuracy: float, started_at: float) -> Trial:
    parts = {
        "cpu": Component(energy_j, Provenance.MODEL, "made up"),
        "ram": Component(energy_j / 10, Provenance.MODEL, "made up"),
    }
    reading = Reading(duration_s=12.0, components=parts)
    return Trial(
        index=index,
        hyperparameters={"learning_rate": 0.001, "beta_1": 0.9},
        status=TrialStatus.COMPLETED,
        val_score=accuracy,
        epochs=(Epoch(0, 0.5), Epoch(1, 0.25, accuracy)),
        account=Account({"train": reading}),
        samples_seen=12_000,
        started_at=started_at + 14.0 * index,
        error=None,
    )


def _multiply(connection: sqlite3.Connection, numbers: int) -> None:
    # A store that is made up need not survive a crash.
    for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{2**20}"):
        connection.execute(f"PRAGMA {pragma}")
    values = {"numbers": numbers, "length_ms": 1000 * SPACING_S * CASES, "repeats": REPEATS}
    connection.execute(COPIES, values)
    connection.execute(INDEX)
    for table, changed in CHANGED.items():
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        source = "inputs NATURAL JOIN input_tags" if table == "input_tags" else table
        connection.execute(
            f"INSERT INTO {table} SELECT {', '.join(changed.get(name, name) for name in columns)} "
            f"FROM copies CROSS JOIN ({source}) AS {table} "
            f"ON {table}.{RUN_OF.get(table, 'run_uuid')} = copies.original ORDER BY copies.rowid",
            values,
        )
    connection.commit()


if __name__ == "__main__":
    main()
