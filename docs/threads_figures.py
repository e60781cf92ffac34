"""Figures of the page on threads, from what `greenbench doctor --threads --json` printed."""

from typing import Any

HEADINGS = (
    "threads",
    "samples/s",
    "CPU s per 1,000 samples",
    "J per 1,000 samples",
    "times the best",
)


def figures(found: dict[str, Any]) -> dict[str, str]:
    """Return the substitutions of the page.

    Parameters
    ----------
    found : dict
        As in ``results/threads.json``.
    """
    return {
        "threads_machine": f"{found['cpu']}, {found['cores']} cores",
        "threads_date": found["date"],
        "threads_best": str(found["best"]),
        "threads_tables": "\n\n".join(map(_table, found["networks"])),
        "threads_sentences": "\n".join(
            f"- {sentence}" for sentence in (*found["sentences"], *found["notes"])
        ),
    }


def _table(network: dict[str, Any]) -> str:
    names = ("samples_per_s", "cpu_s", "energy_j", "ratio")
    lines = [
        f"{network['network']} (energy is {network['provenance']}; {network['decides']} decides):",
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
    ]
    for each in network["figures"]:
        cells = (str(each["threads"]), *(_cell(each[name]) for name in names))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: dict[str, float | None] | None) -> str:
    if found is None:
        return "unknown"
    median, low, high = (_digits(found[name]) for name in ("median", "low", "high"))
    return f"{median} [{low}, {high}]"


def _digits(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004
