"""What the suite `tasks` gave: `tasks_results.py --output docs/results/tasks.json`.

Reads the newest session of `greenbench run tasks` in the store: medians of each case's figures,
with their ranges.
"""

import json
import os
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from greenbench.machine.environment import describe_environment
from greenbench.results.scores import score_of
from greenbench.settings import Settings
from greenbench.tracking import Store

FIGURES = ("test_score", "val_score", "energy_wh", "wall_s", "cpu_s", "parameters")


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(output: Path) -> None:
    """Write the results of the newest session."""
    settings = Settings.from_environment(os.environ)
    rows = Store(settings.tracking_uri.reveal()).read_rows("tasks")
    rows = [row for row in rows if row["session"] == rows[-1]["session"]]
    names = sorted({row["case_id"] for row in rows})
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_environment(int(rows[0]["threads"]), {}),
        "cases": [_case(name, [row for row in rows if row["case_id"] == name]) for name in names],
    }
    output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _case(name: str, rows: Sequence[Any]) -> dict[str, Any]:
    return {
        "case": name,
        "score": score_of(rows[0]).name,
        "n": len(rows),
        "energy_provenance": rows[0]["energy_provenance"],
        "marks": sorted({mark for row in rows for mark in (row["marks"] or "").split()}),
        **{figure: _spread([row[figure] for row in rows]) for figure in FIGURES},
    }


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"median": statistics.median(known), "low": min(known), "high": max(known)}


if __name__ == "__main__":
    main()
