"""Sphinx configuration. Nothing is fetched while building."""

import json
from pathlib import Path
from typing import Any

import greenbench

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
myst_enable_extensions = ["substitution"]


def _interval(found: dict[str, Any], scale: float, unit: str, digits: int) -> str:
    middle, low, high = (f"{scale * found[name]:.{digits}f}" for name in ("median", "low", "high"))
    return f"{middle}{unit} [{low}, {high}], n = {found['n']}"


def _overhead() -> dict[str, str]:
    path = Path(__file__).parent / "results" / "overhead.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    machine, startup = found["machine"], found["startup_s"]
    shares = [name for name in found if name.startswith(("steady_", "harness_"))]
    starts = {"python": "python", "torch": "import torch", "worker": "worker ready"}
    return {
        "overhead_machine": f"a machine with {machine['cores']} cores ({machine['cpu']}, "
        f"{machine['memory_gib']} GiB, {machine['system']})",
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


# Figures in pages come from what the benchmarks wrote.
myst_substitutions = _overhead()
