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
    columns = list(dict.fromkeys(row["window"] for row in found["first"]))
    sessions = found["runs"] * len({row["transient"] for row in found["first"]})
    repeats = found["repeats"]
    return {
        "counter_sessions": f"{sessions:,}",
        "counter_repeats": str(repeats),
        "counter_each": f"{found['runs']:,}",
        "counter_fewer": f"{-(-found['runs'] // 4):,}",
        "counter_later": f"{found['runs'] * (repeats - 1):,}",
        "counter_all": f"{sessions * repeats * len(columns):,}",
        "counter_seed": str(found["seed"]),
        "counter_versions": ", ".join(f"{name} {v}" for name, v in found["versions"].items()),
        "counter_coverage": f"{found['coverage']:.1%}",
        "counter_phase_coverage": f"{found['phase_coverage']:.1%}",
        "counter_worst_first": _worst(found["first"]),
        "counter_worst_later": _worst(found["later"]),
        "counter_methods": _table(found["methods"], "method", columns),
        "counter_first": _table(found["first"], "transient", columns),
        "counter_later_repeats": _table(found["later"], "transient", columns),
        "counter_beyond": _table(found["beyond"], "what", columns),
        "counter_beyond_held": _held(found["beyond"], "what", columns),
        "counter_train_held": _held(found["later"], "transient", columns),
        "counter_stated": _stated(found["methods"], columns),
        "counter_common": _common(found["sessions"]),
        "counter_readers": _readers(found["readers"]),
    }


def _worst(rows: list[dict[str, Any]]) -> str:
    """Return the largest bias of any kind of transient and window, in per cent."""
    return f"{100 * max(abs(row['bias']) for row in rows):.2f}%"


def _held(rows: list[dict[str, Any]], first: str, columns: list[str]) -> str:
    """Return how often `train` was within its stated uncertainty."""
    table = f"| | {' | '.join(columns)} |\n|---|" + "---|" * len(columns) + "\n"
    for name in dict.fromkeys(row[first] for row in rows):
        cells = {row["window"]: f"{row['train_held']:.0%}" for row in rows if row[first] == name}
        table += f"| {name} | {' | '.join(cells[column] for column in columns)} |\n"
    return table


def _readers(rows: list[dict[str, Any]]) -> str:
    """Return errors and coverages by how long a read of our sampler takes."""
    sizes = [row["window_s"] for row in rows[0]["windows"]]
    columns = [*(f"{size:g} s" for size in sizes), "totals", "phases", "`train`", "of a core"]
    table = f"| a read takes | {' | '.join(columns)} |\n|---|" + "---|" * len(columns) + "\n"
    for row in rows:
        shares = (row[name] for name in ("coverage", "phase_coverage", "train_coverage", "share"))
        cells = [*map(_cell, row["windows"]), *(f"{share:.1%}" for share in shares)]
        table += f"| {1e3 * row['read_s']:g} ms | {' | '.join(cells)} |\n"
    return table


def _common(rows: list[dict[str, Any]]) -> str:
    columns = [row["window"] for row in rows]
    table = f"| | {' | '.join(columns)} |\n|---|" + "---|" * len(columns) + "\n"
    for name, label in (
        ("own", "error of its own, of each repeat"),
        ("common", "error that all repeats of a session have in common"),
        ("mean_in_spread", "means within the interval that the spread over repeats gives"),
        ("mean_in_stated", "means within one repeat's stated uncertainty"),
    ):
        digits = ".2%" if name in ("own", "common") else ".0%"
        table += f"| {label} | {' | '.join(format(row[name], digits) for row in rows)} |\n"
    return table


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
        ("segments_held", "single windows of `train` within theirs"),
        ("phases_held", "all phases within theirs"),
        ("total_held", "the total within its own"),
    ):
        cells = [f"{ours[column][name]:.1%}" for column in columns]
        table += f"| {label} | {' | '.join(cells)} |\n"
    return table
