"""Figures of the page on the suite of tasks, from what `benchmarks/tasks_results.py` wrote."""

from typing import Any

SHARES = ("accuracy", "miou")
NAMES = {"auroc": "AUROC", "r2": "R²", "miou": "mIoU", "bits_per_token": "bits per character"}
HEADINGS = ("network, data", "score on the test split", "CPU s", "energy, mWh", "n")


def figures(found: dict[str, Any]) -> dict[str, str]:
    """Return the substitutions of the page.

    Parameters
    ----------
    found : dict
        As in ``results/tasks.json``.
    """
    cases = found["cases"]
    kinds = sorted({case["energy_provenance"] for case in cases})
    marks = sorted({mark for case in cases for mark in case["marks"]})
    total_s = sum(case["n"] * case["cpu_s"]["median"] for case in cases)
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    return {
        "tasks_date": found["date"],
        "tasks_threads": found["machine"]["threads"],
        "tasks_table": "\n".join([*lines, *map(_line, cases)]),
        "tasks_provenance": ", ".join(kinds),
        "tasks_marks": ", ".join(f"`{mark}`" for mark in marks) or "none",
        "tasks_minutes": f"{total_s / 60:.1f}",
    }


def _line(case: dict[str, Any]) -> str:
    name, _, _ = case["case"].partition("+")
    _, network, _, dataset = name.split("-")
    score = case["score"]
    share = score in SHARES
    cells = (
        f"`{network}`, `{dataset}`",
        f"{NAMES.get(score, score)} {_spread(case['test_score'], 100 if share else 1)}"
        + (" (%)" if share else ""),
        _spread(case["cpu_s"]),
        _spread(case["energy_wh"], 1000),
        str(case["n"]),
    )
    return f"| {' | '.join(cells)} |"


def _spread(found: dict[str, float] | None, scale: float = 1.0) -> str:
    if found is None:
        return "unknown"
    middle, low, high = (f"{scale * found[name]:.3g}" for name in ("median", "low", "high"))
    return f"{middle} ({low} to {high})"
