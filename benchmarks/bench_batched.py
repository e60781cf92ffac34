"""What a trial costs when k of them are trained as one model, against one by one.

    python benchmarks/bench_batched.py --output docs/results/batched.json

For each k, k trials of SimpleCNN are trained for a few epochs as one model, and the same k
one by one; both take turns in one process, in random order. Each figure is a median with its
range or interval, over the pairs:

images_per_s, joules_per_trial
    Of either way. Joules are those of the meter, with their provenance.
time_ratio, cpu_ratio, energy_ratio
    The batch over one by one; below 1 it pays.

On a CPU it is expected to lose: `--counts 1,4,8` shows by how much. Where models do not fit into
the device's memory one by one and at once, choose fewer.
"""

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench import registry
from greenbench.architectures import build_architecture
from greenbench.backends import BuildRequest
from greenbench.backends.base import AdamOptions, sample_order
from greenbench.backends.torch import TorchBackend
from greenbench.compare.stats import estimate
from greenbench.datasets import Dataset, LoadContext
from greenbench.energy.ledger import Ledger
from greenbench.energy.meters import open_meter
from greenbench.machine.environment import describe_environment

METER = "codecarbon"
Order = NDArray[np.int64]


@dataclass(frozen=True)
class Setting:
    """What both ways of training share."""

    backend: TorchBackend
    dataset: Dataset
    ledger: Ledger
    batch_size: int
    epochs: int
    steps: int | None

    def order(self, lane: int, epoch: int) -> Order:
        """Return the samples of an epoch of a trial."""
        order = sample_order(len(self.dataset.train), self.batch_size, lane, epoch)
        return order[: self.steps and self.steps * self.batch_size]

    @property
    def images(self) -> int:
        """Images that a trial trains on."""
        return self.epochs * len(self.order(0, 0))


@dataclass(frozen=True)
class Cost:
    """What one turn took."""

    wall_s: float
    cpu_s: float
    energy_j: float | None
    provenance: str


def main() -> None:
    """Measure, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--counts", default="1,8,64", help="trials at once, with commas")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, help="of an epoch; default: all")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--output", type=Path, help="JSON file; default: print")
    options = parser.parse_args()
    backend = TorchBackend("torch", threads=1)
    if not backend.batches_pay:
        print("no GPU: on a CPU, batches are expected to lose", file=sys.stderr)
    setting = set_up(backend, options)
    counts = [int(count) for count in options.counts.split(",")]
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_environment(1, backend.describe()),
        "meter": METER,
        "dataset": options.dataset,
        "batch_size": options.batch_size,
        "epochs": options.epochs,
        "steps": options.steps,
        "counts": {str(count): measure(setting, count, options.pairs) for count in counts},
    }
    setting.ledger.close()
    text = json.dumps(found, indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def set_up(backend: TorchBackend, options: argparse.Namespace) -> Setting:
    """Load the data, and open the meter."""
    context = LoadContext(seed=0, data_dir=options.data_dir)
    dataset: Dataset = registry.datasets.get(options.dataset)(context)
    backend.load(dataset)
    ledger = Ledger(open_meter(METER))
    ledger.open()
    return Setting(backend, dataset, ledger, options.batch_size, options.epochs, options.steps)


def measure(setting: Setting, count: int, pairs: int) -> dict[str, Any]:
    """Return the figures of both ways, and their ratios, for `count` trials at once."""
    ways = {"alone": train_alone, "batched": train_batched}
    costs: dict[str, list[Cost]] = defaultdict(list)
    for turn in range(-1, pairs):
        for way in random.sample(list(ways), len(ways)):
            cost = cost_of(setting, lambda way=way: ways[way](setting, count))  # type: ignore[misc]
            # The first turn is the warm-up.
            if turn >= 0:
                costs[way].append(cost)
        print(f"{count} at once: pair {turn + 1} of {pairs}", file=sys.stderr)
    found: dict[str, Any] = {way: figures(setting, count, costs[way]) for way in ways}
    both = list(zip(costs["batched"], costs["alone"], strict=True))
    found["time_ratio"] = summary([one.wall_s / other.wall_s for one, other in both])
    found["cpu_ratio"] = summary([one.cpu_s / other.cpu_s for one, other in both])
    joules = [
        one.energy_j / other.energy_j
        for one, other in both
        if one.energy_j is not None and other.energy_j
    ]
    found["energy_ratio"] = summary(joules) if joules else None
    return found


def figures(setting: Setting, count: int, costs: Sequence[Cost]) -> dict[str, Any]:
    """Return images a second and joules a trial."""
    joules = [cost.energy_j / count for cost in costs if cost.energy_j is not None]
    return {
        "images_per_s": summary([count * setting.images / cost.wall_s for cost in costs]),
        "joules_per_trial": summary(joules) if joules else None,
        "provenance": costs[-1].provenance,
    }


def cost_of(setting: Setting, train: Callable[[], None]) -> Cost:
    """Return what a turn took, its models' building included."""
    setting.ledger.take()
    wall, cpu = time.perf_counter(), time.process_time()
    with setting.ledger.phase("train"):
        train()
        setting.backend.synchronize()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    reading = setting.ledger.take().phases["train"]
    return Cost(wall, cpu, reading.energy_j, reading.provenance.label)


def train_alone(setting: Setting, count: int) -> None:
    """Train and validate trials one by one."""
    for lane, request in enumerate(requests_for(setting, count)):
        model = setting.backend.build(request)
        for epoch in range(setting.epochs):
            model.train_epoch(setting.order(lane, epoch))
        model.evaluate("validation")


def train_batched(setting: Setting, count: int) -> None:
    """Train and validate the same trials as one model."""
    batch = setting.backend.build_batch(requests_for(setting, count))
    for epoch in range(setting.epochs):
        batch.train_epoch(np.stack([setting.order(lane, epoch) for lane in range(count)]))
    batch.evaluate("validation")


def requests_for(setting: Setting, count: int) -> list[BuildRequest]:
    """Return trials with different learning rates, between 1e-4 and 1e-2."""
    data = setting.dataset
    network = build_architecture("simple_cnn", data.image_shape, data.classes)
    return [
        BuildRequest(network, AdamOptions(float(rate)), setting.batch_size, seed)
        for seed, rate in enumerate(np.geomspace(1e-4, 1e-2, count))
    ]


def summary(samples: list[float]) -> dict[str, Any]:
    """Return the median with its range or interval, its confidence, and n."""
    return asdict(estimate(samples))


if __name__ == "__main__":
    main()
