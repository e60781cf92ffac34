"""How long a case's end waits for MLflow, by the number of its trials and the kind of store.

    python benchmarks/bench_logging.py --output docs/results/logging.json

end_s
    Wall seconds from a repeat's end until the next one may be measured.
whole_s
    Wall seconds until MLflow has all of it: what its end would wait for if it waited.

A store is opened before, as it is once a run. Each result is logged after the one before it is, or
after that was given up: of many trials, only a few results are waited for until all is there.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from make_store import results

from greenbench.compare.stats import estimate
from greenbench.machine.environment import describe_environment
from greenbench.machine.secrets import StoreUri
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.running.delivery import CLOSE_LIMIT_S, Delivery

BAR_S = 0.5


class Errors:
    """Shows what a delivery says, on standard error."""

    def notice(self, message: str) -> None:
        """Show a line."""
        print(message, file=sys.stderr)


def main() -> None:
    """Measure, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 64, 1000])
    parser.add_argument("--times", type=int, default=10, help="results of each size")
    parser.add_argument(
        "--whole-s",
        type=float,
        default=10.0,
        help="of each size, no further result is waited for until all is there after so long",
    )
    parser.add_argument("--output", type=Path, help="JSON file; default: print")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, serving(Path(folder)) as server:
        stores = {"sqlite": f"sqlite:///{folder}/mlflow.db", "server": server}
        found = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": describe_environment(1, {}),
            "bar_s": BAR_S,
            "load": os.getloadavg()[1],
            "stores": {
                name: measure(
                    StoreUri(uri),
                    Path(folder) / name,
                    options.trials,
                    times=options.times,
                    whole_s=options.whole_s,
                )
                for name, uri in stores.items()
            },
        }
    text = json.dumps(found, indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def measure(
    uri: StoreUri, folder: Path, sizes: Sequence[int], *, times: int, whole_s: float
) -> list[dict[str, Any]]:
    """Return what results of some sizes took."""
    folder.mkdir()
    repeats = count()
    delivery = opened(uri, folder, repeats)
    found = []
    for trials in sizes:
        ends: list[float] = []
        wholes: list[float] = []
        for _ in range(times):
            journal, end_s = ended(delivery, folder, made(trials, next(repeats)))
            ends.append(end_s)
            if not wholes or sum(wholes) < whole_s:
                wholes.append(end_s + finished(delivery, journal))
                print(f"{trials} trials: {end_s:.3f} s of {wholes[-1]:.3f} s", file=sys.stderr)
            else:
                print(f"{trials} trials: {end_s:.3f} s", file=sys.stderr)
                delivery.close(0.0)
                delivery = opened(uri, folder, repeats)
        found.append(
            {"trials": trials, "end_s": asdict(estimate(ends)), "whole_s": asdict(estimate(wholes))}
        )
    return found


def opened(uri: StoreUri, folder: Path, repeats: Iterator[int]) -> Delivery:
    """Return a delivery that has told the store of a small result."""
    delivery = Delivery(uri, Errors())
    finished(delivery, ended(delivery, folder, made(2, next(repeats)))[0])
    return delivery


def ended(delivery: Delivery, folder: Path, result: CaseResult) -> tuple[Journal, float]:
    """Hand a result over; return its journal, and seconds until the next may be measured."""
    journal = Journal.of(folder, result.case, result.repeat)
    journal.finish(result)
    began = time.perf_counter()
    delivery.deliver(journal, result, may_exist=False)
    return journal, time.perf_counter() - began


def finished(delivery: Delivery, journal: Journal) -> float:
    """Wait until all of a result is there, and return how many seconds that took."""
    began = time.perf_counter()
    delivery.close(10 * CLOSE_LIMIT_S)
    assert journal.read().is_delivered
    return time.perf_counter() - began


def made(trials: int, repeat: int) -> CaseResult:
    """Return a made-up result with some trials."""
    one = next(results())
    many = tuple(replace(one.trials[0], index=index) for index in range(trials))
    return replace(one, repeat=repeat, trials=many, started_at=one.started_at + 60.0 * repeat)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Yield the address of an MLflow server over SQLite, on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--host", "127.0.0.1"]
    # Its jobs would take CPU time from what is measured.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = folder / "server.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            while "Application startup complete" not in log.read_text():
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)


if __name__ == "__main__":
    main()
