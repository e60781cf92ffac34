"""Tables for reports: every question asked, in few cases that differ enough to be told apart."""

import math
import random
from collections.abc import Iterable
from typing import Any

from greenbench.cases import Case
from greenbench.results import CaseResult
from greenbench.results.readings import Provenance
from greenbench.results.table import to_row, to_trial_rows
from tests.builders import make_result, make_trial

Row = dict[str, Any]
Table = tuple[list[Row], list[Row]]

SIZES = {"xs": 0.2, "s": 0.35, "m": 0.9, "l": 2.4, "xl": 7.0}
HOST = "0123456789ab"


def table_of(results: Iterable[CaseResult], **changed: Any) -> Table:
    """Return rows and trials of some results; `changed` has columns."""
    rows: list[Row] = []
    trials: list[Row] = []
    for result in results:
        rows.append({**to_row(result), "session": "s1", **changed})
        trials += [{**row, "session": "s1", **changed} for row in to_trial_rows(result)]
    return rows, trials


def family(
    *,
    backend: str = "torch",
    host: str = HOST,
    provenance: Provenance = Provenance.MODEL,
    price: float = 1.0,
    seed: int = 0,
    repeats: int = 5,
) -> list[CaseResult]:
    """Return the sizes of one family, of which each buys less than the one before."""
    noise = random.Random(seed)
    return [
        make_result(
            Case("default", "simple_cnn", backend, size=size),
            repeat=repeat,
            energy_j=36.0 * price * energy * math.exp(noise.gauss(0, 0.03)),
            accuracy=min(1.0, 0.99 - 0.02 * energy**-0.7 + noise.gauss(0, 0.002)),
            provenance=provenance,
            host=host,
        )
        for size, energy in SIZES.items()
        for repeat in range(repeats)
    ]


def searches(*strategies: str) -> list[CaseResult]:
    """Return searches of eight trials by each strategy."""
    noise = random.Random(1)
    return [
        make_result(
            Case(strategy, "simple_cnn", size="s", trials=8),
            repeat=repeat,
            accuracy=0.98,
            trials=[
                make_trial(i, accuracy=0.93 + noise.random() / 20, energy_j=12 + noise.random())
                for i in range(8)
            ],
        )
        for strategy in strategies
        for repeat in range(5)
    ]


def layers() -> list[CaseResult]:
    """Return a full factorial of two options of layers."""
    noise = random.Random(2)
    return [
        make_result(
            Case(architecture_options=(("conv_layers", conv), ("relu", relu))),
            repeat=repeat,
            energy_j=20 + 10 * conv + 2 * relu + noise.gauss(0, 0.5),
            accuracy=0.9 + 0.004 * conv + noise.gauss(0, 0.003),
        )
        for conv in (1, 4)
        for relu in (True, False)
        for repeat in range(5)
    ]


def everything() -> Table:
    """Return a table that asks every question."""
    return table_of(
        [
            *family(),
            *family(backend="keras", price=1.3, seed=3),
            *searches("random", "bayesian"),
            *layers(),
        ]
    )
