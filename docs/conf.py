"""Sphinx configuration. Nothing is fetched while building."""

import json
import sys
from pathlib import Path
from typing import Any

import greenbench

# Modules beside this file make the figures of some pages.
sys.path.insert(0, str(Path(__file__).parent))

import counter_figures
import gpu_figures
import known_scripts_figures
import meters_figures
import own_scripts_figures
import scale_figures
import speed_figures
import startup_figures
import tasks_figures
import threads_figures

project = "greenbench"
author = "The greenbench developers"
project_copyright = author
version = release = greenbench.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_click",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"greenbench {release}"
html_show_sourcelink = False

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
myst_enable_extensions = ["deflist", "substitution"]


def _interval(found: dict[str, Any], scale: float, unit: str, digits: int) -> str:
    if found["n"] == 1:
        return f"{scale * found['median']:.{digits}f}{unit}, n = 1"
    middle, low, high = (f"{scale * found[name]:.{digits}f}" for name in ("median", "low", "high"))
    return f"{middle}{unit} [{low}, {high}], n = {found['n']}"


def _results(name: str) -> Any:
    path = Path(__file__).parent / "results" / f"{name}.json"
    found: Any = json.loads(path.read_text(encoding="utf-8"))
    return found


def _machine(machine: dict[str, str]) -> str:
    return (
        f"a machine with {machine['cores']} cores ({machine['cpu']}, "
        f"{machine['memory_gib']} GiB, {machine['system']})"
    )


def _overhead() -> dict[str, str]:
    found = _results("overhead")
    startup = found["startup_s"]
    shares = [name for name in found if name.startswith(("steady_", "harness_"))]
    starts = {"python": "python", "torch": "import torch", "worker": "worker ready"}
    return {
        "overhead_machine": _machine(found["machine"]),
        "overhead_date": found["date"],
        "overhead_meter": found["meter"],
        "overhead_window": f"{found['window_s']:g} s",
        "overhead_case": f"{found['case_s']:g} s",
        **{name: _interval(found[name], 100, "%", 2) for name in shares},
        "edge_ms": _interval(found["edge_ms"], 1, " ms", 2),
        "edge_p99": f"{found['edge_ms']['p99']:.2f} ms",
        **{
            f"startup_{name}": _interval(startup[label], 1, " s", 2)
            for name, label in {**starts, "store": "store open"}.items()
        },
    }


def _logging() -> dict[str, str]:
    found = _results("logging")
    table = (
        "| store | trials | a case's end waits for | until MLflow has all |\n|---|---|---|---|\n"
    )
    for name, sizes in found["stores"].items():
        for size in sizes:
            end, whole = (_interval(size[what], 1, " s", 2) for what in ("end_s", "whole_s"))
            table += f"| {name} | {size['trials']} | {end} | {whole} |\n"
    return {
        "logging_machine": _machine(found["machine"]),
        "logging_load": f"whose load was {found['load']:.0f} meanwhile",
        "logging_table": table,
    }


def _compare() -> dict[str, str]:
    found = _results("compare")
    table = (
        "| results | runs in the store | read | compared | CPU time of both | bar | peak memory |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    for store in found["stores"]:
        bar_s = found["bars"]["s_per_1000_runs"] * store["all_runs"] / 1000
        is_met = store["read_s"] + store["compare_s"] <= bar_s
        table += (
            f"| {store['runs']:,} | {store['all_runs']:,} | {store['read_s']:.1f} s "
            f"| {store['compare_s']:.1f} s | {store['cpu_s']:.1f} s "
            f"| {bar_s:.0f} s together: {'met' if is_met else 'missed'} "
            f"| {store['peak_mib']:.0f} MiB |\n"
        )
    largest = found["stores"][-1]
    return {
        "compare_machine": _machine(found["machine"]) + (found["note"] and f", {found['note']}"),
        "compare_date": found["date"],
        "compare_times": str(found["times"]),
        "compare_mlflow": found["machine"]["mlflow"],
        "compare_table": table,
        "compare_growth": f"{found['growth']:.2f}",
        "compare_memory": f"{found['bars']['peak_mib']:.0f} MiB",
        "compare_open": f"{largest['open_s']:.1f} s",
        "compare_trials": f"{largest['trials']} trials of the latest session in "
        f"{largest['trials_s']:.2f} s",
    }


CLOSE_BAR = 0.6
SEARCH_BARS = {
    "share_of_grid": 0.05,
    "share_of_random_log": CLOSE_BAR,
    "share_of_random_log_seen": CLOSE_BAR,
}
SEARCH_TABLES = {
    "search_of_grid": "share_of_grid",
    "search_of_random_log": "share_of_random_log",
    "search_seen": "share_of_random_log_seen",
    "search_hits": "close_hits",
    "search_accuracy": "accuracy",
    "search_proposals": "proposal_share",
    "search_proposals_1s": "proposal_share_1s",
    "search_optimism": "optimism",
}


def _search() -> dict[str, str]:
    found = _results("search")
    best = found["recommended"]
    own = [each for each in found["cells"] if each["strategy"] == best]
    seeds = {each["seeds"] for each in found["cells"]}
    close = {each["cell"]: each["share_of_random_log"] for each in own}
    control = {e["cell"]: e["accuracy"] for e in found["cells"] if e["strategy"] == "default"}
    searched: dict[str, float] = {}
    for each in found["cells"]:
        searched[each["cell"]] = max(searched.get(each["cell"], 0.0), each["accuracy"])
    return {
        **{name: _search_table(found["cells"], column) for name, column in SEARCH_TABLES.items()},
        "search_bars": _search_bars(found["cells"]),
        "search_best": f"`{best}`",
        "search_date": found["date"],
        "search_machine": _machine(found["machine"]),
        "search_cells": str(len(own)),
        "search_seeds": f"{max(seeds)} seeds ({min(seeds)} of strategies that learn)",
        "search_grid_worst": f"{max(each['share_of_grid'] for each in own):.1%}",
        "search_close_met": str(
            sum(share is not None and share <= CLOSE_BAR for share in close.values())
        ),
        "search_seen_met": str(
            sum((each["share_of_random_log_seen"] or 1.0) <= CLOSE_BAR for each in own)
        ),
        "search_close": ", ".join(f"{cell} {_share(share)}" for cell, share in close.items()),
        "search_proposals_worst": f"{max(each['proposal_share_1s'] for each in own):.2%}",
        "search_real": _real_searches(),
        "search_default_good": _listed(
            [cell for cell, best in searched.items() if control[cell] > best - 0.01 + 1e-9]
        ),
    }


def _search_bars(cells: list[dict[str, Any]]) -> str:
    table = (
        "| strategy | as good as the grid for 5% | close for 60% | close for 60%, as seen "
        "| largest share of proposals at 1 s |\n|---|---|---|---|---|\n"
    )
    for strategy in dict.fromkeys(each["strategy"] for each in cells):
        own = [each for each in cells if each["strategy"] == strategy]
        met = [
            f"{sum(each[column] is not None and each[column] <= bar for each in own)} of {len(own)}"
            for column, bar in SEARCH_BARS.items()
        ]
        share = _share(max(each["proposal_share_1s"] for each in own))
        table += f"| `{strategy}` | {' | '.join(met)} | {share} |\n"
    return table


def _real_searches() -> str:
    table = (
        "| repeat | control | grid | search, after a twentieth | search, at its end "
        "| its epochs, of the grid's |\n|---|---|---|---|---|---|\n"
    )
    for each in _results("search_real"):
        figures = list(map(_share, list(each.values())[1:]))
        table += f"| {each['repeat'] + 1} | {' | '.join(figures)} |\n"
    return table


def _search_table(cells: list[dict[str, Any]], column: str) -> str:
    names = list(dict.fromkeys(each["cell"] for each in cells))
    found = {(each["strategy"], each["cell"]): each[column] for each in cells}
    table = f"| strategy | {' | '.join(names)} |\n" + "|---" * (1 + len(names)) + "|\n"
    for strategy in dict.fromkeys(each["strategy"] for each in cells):
        shares = [_share(found[strategy, name]) for name in names]
        table += f"| `{strategy}` | {' | '.join(shares)} |\n"
    return table


def _share(share: float | None) -> str:
    return "never" if share is None else f"{share:.1%}"


def _listed(names: list[str]) -> str:
    return f"{len(names)} cells ({', '.join(names)})" if names else "no cell"


def _speed() -> dict[str, str]:
    found = _results("speed")
    return {"speed_machine": _machine(found["machine"]), **speed_figures.figures(found)}


def _startup() -> dict[str, str]:
    return startup_figures.figures({name: _results(name) for name in ("startup", "sweep")})


# Figures in pages come from what the benchmarks wrote.
def _tasks() -> dict[str, str]:
    found = _results("tasks")
    return {"tasks_machine": _machine(found["machine"]), **tasks_figures.figures(found)}


myst_substitutions = {
    **_overhead(),
    **_logging(),
    **_compare(),
    **_search(),
    **_speed(),
    **_startup(),
    **_tasks(),
    **scale_figures.figures(_results("scale_load"), _results("scale_growth")),
    **threads_figures.figures(_results("threads")),
    **counter_figures.figures(_results("counter")),
    **gpu_figures.figures(_results("gpu")),
    "meters_machine": _machine(_results("meters")["machine"]),
    **meters_figures.figures(_results("meters")),
    **known_scripts_figures.figures(_results("known_scripts")),
    **own_scripts_figures.figures(_results("own_scripts")),
}
