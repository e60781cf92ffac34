"""Figures of the page on a real GPU, from what `benchmarks/gpu_check.sh` showed there."""

from statistics import mean, median, stdev
from typing import Any

BAR = 0.03
"""Share by which two meters may differ."""


def figures(found: dict[str, Any]) -> dict[str, str]:
    """Return the substitutions of the page.

    Parameters
    ----------
    found : dict
        The contents of ``gpu.json``.
    """
    apart = [share for each in found["family"] for share in each["meters_apart"]]
    batches, start, counter = found["batches"], found["start"], found["counter"]
    smallest = found["family"][0]
    return {
        "gpu_machine": "{gpu} (driver {driver}), {cpu}, PyTorch {torch}".format(**found["machine"]),
        "gpu_date": found["date"],
        "gpu_family": _family(found["family"]),
        "gpu_window": f"{found['family_window_s']} s",
        "gpu_idle_before": f"{found['idle_w']['before']} W",
        "gpu_idle_after": f"{found['idle_w']['after']} W",
        "gpu_missed": _cv(smallest["total_j"]),
        "gpu_missed_train": _cv(smallest["train_j"]),
        "gpu_apart": f"{max(apart):.1%}",
        "gpu_apart_median": f"{median(apart):.1%}",
        "gpu_apart_within": f"{sum(share <= BAR for share in apart)} of {len(apart)}",
        "gpu_speed": _speed(found["speed"]),
        "gpu_of_plain": f"{batches['batched_j'] / batches['plain_j']:.3f}",
        "gpu_of_graphs": f"{batches['batched_j'] / batches['graphs_j']:.2f}",
        "gpu_batches": _batches(batches),
        "gpu_first": f"{start['first_trial_s']:.1f} s",
        "gpu_import": f"{start['import_and_context_s']:.1f} s",
        "gpu_more": f"{start['first_trial_s'] - start['import_and_context_s']:.1f} s",
        "gpu_read": f"{counter['read_ms']} ms",
        "gpu_read_late": f"{counter['read_after_tick_ms']} ms",
        "gpu_share": " and ".join(f"{share:.1%}" for share in counter["share"]),
        "gpu_tests": str(found["tests"]["passed"]),
        "gpu_slow": str(found["tests"]["slow_passed"]),
    }


def _family(sizes: list[dict[str, Any]]) -> str:
    lines = [
        "| size | parameters | energy, J: median (range) | CV | ± by ticks | training, J | CV |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in sizes:
        total, train = each["total_j"], each["train_j"]
        known = median(u / j for u, j in zip(each["uncertainty_j"], total, strict=True))
        lines.append(
            f"| {each['size']} | {each['parameters']:,} | {median(total):.1f} ({min(total):.1f} to "
            f"{max(total):.1f}) | {_cv(total)} | {known:.1%} | {median(train):.1f} | {_cv(train)} |"
        )
    return "\n".join(lines)


def _cv(values: list[float]) -> str:
    return f"{stdev(values) / mean(values):.1%}"


def _speed(speeds: list[dict[str, float]]) -> str:
    lines = ["| batch | default path | bare fused loop | ratio |", "|---|---|---|---|"]
    for each in speeds:
        lines.append(
            f"| {each['batch_size']} | {each['ours'] / 1000:.0f}k images/s | "
            f"{each['bare'] / 1000:.0f}k images/s | {each['ratio']:.2f} |"
        )
    return "\n".join(lines)


def _batches(found: dict[str, Any]) -> str:
    names = {"plain": "alone, without graphs", "graphs": "alone, with graphs"}
    names["batched"] = f"{found['lanes']} at once"
    lines = ["| trials of two epochs | energy a trial | images/s |", "|---|---|---|"]
    for name, words in names.items():
        speed = found["images_per_s"][name] / 1000
        lines.append(f"| {words} | {found[f'{name}_j']:.1f} J | {speed:.0f}k |")
    return "\n".join(lines)
