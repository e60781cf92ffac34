"""Tables of the page on known scripts, made from what `bench_known_scripts.py` wrote."""

import statistics
from typing import Any

TITLES = {
    "mnist_lenet": "LeNet-like network on MNIST",
    "cifar10_resnet": "ResNet on CIFAR-10",
    "text_gpt": "GPT on characters",
    "mnist_keras": "keras convnet on MNIST",
}
POINTS = 100.0


def figures(found: dict[str, Any]) -> dict[str, str]:
    """Return the substitutions of the page.

    Parameters
    ----------
    found : dict
        The contents of ``known_scripts.json``.

    Returns
    -------
    dict of str to str
        Markdown by name.
    """
    scripts = found["scripts"]
    held = [each for each in scripts if is_within_noise(each)]
    return {
        "known_date": found["date"],
        "known_versions": ", ".join(f"{name} {v}" for name, v in found["versions"].items()),
        "known_scores": _scores(scripts),
        "known_trained": _trained(scripts),
        "known_held": f"{len(held)} of {len(scripts)}",
    }


def is_within_noise(script: dict[str, Any]) -> bool:
    """Return whether the interval of the mean difference holds 0."""
    difference = script["difference"]
    return bool(difference["low"] <= 0 <= difference["high"])


def _scores(scripts: list[dict[str, Any]]) -> str:
    table = (
        "| script | lines of its case | score | seeds | original loop | case "
        "| case − loop, 95% interval |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    for each in scripts:
        scale, unit, digits = _format(each["score"])
        loop, case = (_spread(each[name], scale, digits) for name in ("loop", "case"))
        mean, low, high = (
            f"{scale * each['difference'][name]:+.{digits}f}" for name in ("mean", "low", "high")
        )
        table += (
            f"| {TITLES[each['script']]} | {each['lines']} | {each['score']['name']}, {unit} "
            f"| {len(each['case'])} | {loop} | {case} | {mean} [{low}, {high}] |\n"
        )
    return table


def _trained(scripts: list[dict[str, Any]]) -> str:
    table = (
        "| script | data | samples in training, in the test | parameters | epochs | batch "
        "| steps |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    for each in scripts:
        table += (
            f"| {TITLES[each['script']]} | {each['source']} | {each['train']:,}, {each['test']:,} "
            f"| {each['parameters']:,} | {each['epochs']} | {each['batch_size']} "
            f"| {each['steps']:,} |\n"
        )
    return table


def _format(score: dict[str, Any]) -> tuple[float, str, int]:
    if score["name"] == "accuracy":
        return POINTS, "points", 2
    return 1.0, score["unit"], 3


def _spread(values: list[float], scale: float, digits: int) -> str:
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    return f"{scale * mean:.{digits}f} ± {scale * deviation:.{digits}f}"
