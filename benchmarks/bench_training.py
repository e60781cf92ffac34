"""How near greenbench's training loops come to the best loop that one would write by hand.

    python benchmarks/bench_training.py --profile --output docs/results/speed.json

Seven loops and two options train the same networks from the same weights on the same batches, in
turns, in random order, in one process and on one thread. What is compared is CPU time of an epoch,
as a ratio within each round; a second bare loop is the A/A control.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from training_arms import (
    CLASSES,
    Arm,
    Setting,
    arms_of,
    greenbench_torch,
    layers,
    resnet18,
)

from greenbench import registry
from greenbench.architectures import Native, build_architecture
from greenbench.backends.base import sample_order
from greenbench.backends.torch import TorchBackend
from greenbench.compare.stats import FEWEST_FOR_INTERVAL, estimate
from greenbench.datasets import Dataset, LoadContext
from greenbench.machine.environment import describe_environment

BARS = {"torch/bare": 1.02, "torch/tutorial": 0.65, "keras/fit": 1.02}
LOSS_TOLERANCE = 0.02
COMPARED = ("torch", "torchvision", "keras", "lightning")
INEXACT = ("torch bfloat16", "torch channels_last", "fit arrays")
"""Arms that round otherwise or see other batches, so that their losses need not agree."""
NETWORKS: Mapping[str, tuple[str, Mapping[str, Any], int]] = {
    "simple_cnn, 2 conv": ("simple_cnn", {"conv_layers": 2}, 2),
    "simple_cnn, 4 conv": ("simple_cnn", {"conv_layers": 4}, 4),
    "dense_poly": ("dense_poly", {}, 0),
}
FLOAT_BYTES = 4
OPERATORS = 10


def main() -> None:
    """Measure, print verdicts, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--images", type=int, default=5120, help="of MNIST, an epoch")
    parser.add_argument("--resnet-images", type=int, default=1024, help="of CIFAR-10, an epoch")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds MNIST and CIFAR-10")
    parser.add_argument("--profile", action="store_true", help="also where the time goes")
    parser.add_argument("--output", type=Path, help="JSON file; default: print")
    options = parser.parse_args()
    if options.rounds < FEWEST_FOR_INTERVAL:
        parser.error(f"--rounds is {options.rounds}; expected at least {FEWEST_FOR_INTERVAL}")
    torch.set_num_threads(1)
    limits = {"flop_s": product_flop_s(), "bytes_s": copy_bytes_s()}
    networks = []
    for name, setting, images in settings(options):
        networks.append({"network": name, **measure(setting, images, options.rounds)})
        networks[-1] |= distance(setting, networks[-1], limits)
        if options.profile:
            networks[-1]["profile"] = profile(setting, images)
        show(networks[-1])
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": dict(describe_environment(1, {"torch": torch.__version__})),
        "versions": {name: version(name) for name in COMPARED if find_spec(name)},
        "batch_size": options.batch_size,
        "threads": 1,
        "bars": BARS,
        "loss_tolerance": LOSS_TOLERANCE,
        "limits": limits,
        "networks": networks,
    }
    text = json.dumps(found, indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


def settings(options: argparse.Namespace) -> list[tuple[str, Setting, int]]:
    """Return each network with its data set, and the images of an epoch."""
    context = LoadContext(seed=0, data_dir=options.data_dir)
    # A tenth is kept for validation.
    limit = options.images * 10 // 9 + 10
    digits: Dataset = registry.datasets.get("mnist")(context, limit=limit)
    photographs: Dataset = registry.datasets.get("image_folder")(context, path="cifar10-jpeg")
    found = []
    for name, (architecture, arguments, convolutions) in NETWORKS.items():
        spec = build_architecture(architecture, digits.image_shape, CLASSES, options=arguments)
        by_hand = partial(layers, convolutions)
        setting = Setting(spec, by_hand, digits, options.batch_size, options.data_dir)
        found.append((name, setting, options.images))
    native = Native("resnet18", "torch", resnet18)
    setting = Setting(native, resnet18, photographs, options.batch_size)
    return [*found, ("torchvision resnet18", setting, options.resnet_images)]


def measure(setting: Setting, images: int, rounds: int) -> dict[str, Any]:
    """Return throughput, ratios of CPU time and differences of losses between the arms."""
    arms = arms_of(setting)
    cpu: dict[str, list[float]] = {name: [] for name in arms}
    losses: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        order = sample_order(len(setting.dataset.train), setting.batch_size, 0, number)[:images]
        for name in random.sample(list(arms), len(arms)):
            epoch = arms[name](order)
            began = time.process_time()
            losses[name].append(epoch())
            if number:  # The first is the warm-up.
                cpu[name].append(time.process_time() - began)
        print(f"round {number} of {rounds}", file=sys.stderr)
    return {
        "images": len(order),
        "images_s": {name: summary([len(order) / s for s in cpu[name]]) for name in arms},
        "over_bare": {name: over(cpu, name, "bare") for name in arms if name != "bare"},
        "ratios": ratios(cpu),
        "loss_deviation": {
            name: max(abs(a - b) for a, b in zip(losses[name], losses["bare"], strict=True))
            for name in arms
            if name not in ("bare", *INEXACT)
        },
    }


def ratios(cpu: Mapping[str, list[float]]) -> dict[str, Any]:
    """Return the ratios that have bars, each with whether it is met."""
    found = {
        "torch/bare": over(cpu, "torch", "bare"),
        "torch/tutorial": over(cpu, "torch", "tutorial"),
    }
    fits = [over(cpu, "keras", name) for name in cpu if name.startswith("fit")]
    if fits:
        # Over the form of its data that ``fit`` is fastest with.
        found["keras/fit"] = max(fits, key=lambda ratio: ratio["median"])
    return {name: {**ratio, "verdict": verdict(ratio, BARS[name])} for name, ratio in found.items()}


def verdict(ratio: Mapping[str, Any], bar: float) -> str:
    """Return whether the interval lies below the bar, above it, or on both sides."""
    if ratio["high"] is None or ratio["low"] <= bar < ratio["high"]:
        return "undecided"
    return "met" if ratio["high"] <= bar else "missed"


def distance(setting: Setting, measured: Mapping[str, Any], limits: Mapping[str, float]) -> Any:
    """Return what the torch backend achieves, as shares of what the thread could do."""
    images_s = measured["images_s"]["torch"]["median"]
    flops = train_flops(setting)
    moved = least_bytes(setting)
    return {
        "train_flops": flops,
        "flop_share": images_s * flops / limits["flop_s"],
        "least_bytes": moved,
        "memory_share": images_s * moved / limits["bytes_s"],
    }


def train_flops(setting: Setting) -> int:
    """Return the FLOPs of one training sample."""
    backend = TorchBackend("torch", threads=1)
    backend.load(setting.dataset)
    return backend.build(setting.request()).count_train_flops()


def least_bytes(setting: Setting) -> int:
    """Return the bytes that a training sample moves at least, if layers are not fused.

    What a layer puts out is written once and read twice (by the next layer and by the backward
    pass), and its gradient is written once and read once. An image is read and written when the
    batch is gathered, and read twice. A batch reads its weights twice, writes their gradient, and
    Adam reads four numbers a weight and writes three.
    """
    module = setting.initialised()
    outputs = 0

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal outputs
        if not isinstance(layer, nn.Flatten):
            outputs += output[0].numel()

    for layer in module.modules():
        if not list(layer.children()):
            layer.register_forward_hook(count)
    images, _ = setting.tensors()
    with torch.no_grad():
        module.eval()(images[:1])
    weights = sum(parameter.numel() for parameter in module.parameters())
    numbers = 5 * outputs + 4 * images[0].numel() + 10 * weights / setting.batch_size
    return round(FLOAT_BYTES * numbers)


def profile(setting: Setting, images: int) -> dict[str, float]:
    """Return the shares of CPU time of the operators of the torch backend, largest first."""
    arm: Arm = greenbench_torch(setting)
    order = sample_order(len(setting.dataset.train), setting.batch_size, 0, 0)[:images]
    arm(order)()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        arm(order)()
    spent = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    total = sum(spent.values())
    largest = sorted(spent, key=lambda key: -spent[key])[:OPERATORS]
    shares = {key.removeprefix("aten::"): spent[key] / total for key in largest}
    return {**shares, "all else": 1 - sum(shares.values())}


def product_flop_s(side: int = 2048, times: int = 7) -> float:
    """Return the FLOP/s of a large product of float32 matrices: the best of a few."""
    one, other = torch.randn(side, side), torch.randn(side, side)
    return 2 * side**3 / fastest(lambda: torch.mm(one, other), times)


def copy_bytes_s(mebibytes: int = 1024, times: int = 5) -> float:
    """Return the bytes a second that are read and written in a copy beyond any cache."""
    source = torch.ones(mebibytes * 2**20 // FLOAT_BYTES)
    target = torch.empty_like(source)
    return 2 * mebibytes * 2**20 / fastest(lambda: target.copy_(source), times)


def fastest(work: Any, times: int) -> float:
    """Return the least CPU seconds of a few repetitions, after one to warm up."""
    work()
    took = []
    for _ in range(times):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def over(cpu: Mapping[str, list[float]], one: str, other: str) -> dict[str, Any]:
    """Return the ratio of two arms' CPU times, by round."""
    return summary([a / b for a, b in zip(cpu[one], cpu[other], strict=True)])


def summary(samples: list[float]) -> dict[str, Any]:
    """Return the median with its range or interval, its confidence, and n."""
    return asdict(estimate(samples))


def show(network: Mapping[str, Any]) -> None:
    """Print what was found for one network."""
    print(f"\n{network['network']}, {network['images']} images an epoch")
    for name, found in network["images_s"].items():
        ratio = network["over_bare"].get(name, {"median": 1.0, "low": 1.0, "high": 1.0})
        interval = f"{ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"
        print(f"  {name:20} {found['median']:9,.0f} images/s  {interval} of bare")
    for name, found in network["ratios"].items():
        interval = f"{found['median']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
        print(f"  {name:20} {interval}, at most {BARS[name]}: {found['verdict']}")
    worst = max(network["loss_deviation"], key=network["loss_deviation"].__getitem__)
    deviation = network["loss_deviation"][worst]
    agree = "agree" if deviation <= LOSS_TOLERANCE else "DIFFER"
    print(f"  losses {agree}: at most {deviation:.1e} from the bare loop's ({worst})")
    print(f"  {network['flop_share']:.0%} of a matrix product's FLOP/s")
    print(f"  {network['memory_share']:.0%} of the images/s that memory bandwidth allows")
    for name, share in network.get("profile", {}).items():
        print(f"  {share:6.1%}  {name}")


if __name__ == "__main__":
    main()
