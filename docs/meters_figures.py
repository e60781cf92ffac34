"""Figures of the page on energy, from what `bench_meters.py` wrote."""

from typing import Any

HEADINGS = ("", "codecarbon, J", "process, J", "duration, s", "CPU time of others")


def figures(found: dict[str, Any]) -> dict[str, str]:
    """Return the substitutions of the page.

    Parameters
    ----------
    found : dict
        The contents of ``meters.json``.
    """
    arms = found["arms"]
    names = {"alone": "as the machine was", "beside": "and one core kept busy"}
    rows = [
        (names[arm], *(_range(each[name]) for name in ("codecarbon", "process", "wall_s")),
         _range(each["others"], 100, "%"))
        for arm, each in arms.items()
    ]  # fmt: skip
    disturbed = [
        sum(each["disturbed"][meter] for each in arms.values())
        for meter in ("codecarbon", "process")
    ]
    return {
        "meters_date": found["date"],
        "meters_case": f"`{found['case']}`",
        "meters_pairs": str(found["pairs"]),
        "meters_table": "".join(
            f"| {' | '.join(line)} |\n" for line in (HEADINGS, ("---",) * len(HEADINGS), *rows)
        ),
        **{f"meters_{name}": _interval(each) for name, each in found["ratio"].items()},
        "meters_disturbed": f"{disturbed[0]} of {2 * found['pairs']} samples",
        "meters_still_disturbed": f"{disturbed[1]} of them",
    }


def _range(found: dict[str, float], scale: float = 1.0, unit: str = "") -> str:
    middle, least, most = (f"{scale * found[n]:.3g}" for n in ("median", "least", "most"))
    return f"{middle}{unit} ({least} to {most})"


def _interval(found: dict[str, float]) -> str:
    middle, low, high = (f"{found[name]:.2f}" for name in ("median", "low", "high"))
    return f"{middle} [{low}, {high}], n = {found['n']}"
