"""Tables of the page on counters that tick, made from what `bench_counter.py` wrote."""

from typing import Any


def figures(found: dict[str, Any]) -> dict[str, str]:
    """Return the substitutions of the page.

    Parameters
    ----------
    found : dict
        The contents of ``counter.json``.

    Returns
    -------
    dict of str to str
        Markdown by name.
    """
    names = [row["window"] for row in found["transients"]]
    columns = list(dict.fromkeys(names))
    runs = found["runs"] * len({row["transient"] for row in found["transients"]})
    return {
        "counter_runs": f"{runs:,}",
        "counter_each": f"{found['runs']:,}",
        "counter_all": f"{runs * len(columns):,}",
        "counter_seed": str(found["seed"]),
        "counter_versions": ", ".join(f"{name} {v}" for name, v in found["versions"].items()),
        "counter_coverage": f"{found['coverage']:.1%}",
        "counter_phase_coverage": f"{found['phase_coverage']:.1%}",
        "counter_methods": _table(found["methods"], "method", columns),
        "counter_transients": _table(found["transients"], "transient", columns),
        "counter_beyond": _table(found["beyond"], "what", columns),
        "counter_stated": _stated(found["methods"], columns),
    }


def _table(rows: list[dict[str, Any]], first: str, columns: list[str]) -> str:
    """Return bias ± standard deviation, and the 95th percentile of the error in brackets."""
    table = f"| {first if first != 'what' else ''} | {' | '.join(columns)} |\n"
    table += "|---|" + "---|" * len(columns) + "\n"
    for name in dict.fromkeys(row[first] for row in rows):
        cells = {row["window"]: _cell(row) for row in rows if row[first] == name}
        table += f"| {name} | {' | '.join(cells[column] for column in columns)} |\n"
    return table


def _cell(row: dict[str, Any]) -> str:
    bias, spread, most = (100 * row[name] for name in ("bias", "deviation", "p95_error"))
    return f"{bias:+.1f} ± {spread:.1f} ({most:.1f})"


def _stated(rows: list[dict[str, Any]], columns: list[str]) -> str:
    ours = {row["window"]: row for row in rows if row["method"] == "greenbench"}
    table = f"| | {' | '.join(columns)} |\n|---|" + "---|" * len(columns) + "\n"
    for name, label in (
        ("stated", "stated uncertainty of `train`, median"),
        ("train_held", "`train` within it"),
        ("phases_held", "all phases within theirs"),
        ("total_held", "the total within its own"),
    ):
        cells = [f"{ours[column][name]:.1%}" for column in columns]
        table += f"| {label} | {' | '.join(cells)} |\n"
    return table
