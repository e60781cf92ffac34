"""What the examples in these pages get, and what of this folder pytest leaves alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).parent

# The example benchmark trains for minutes. It is run by those whom it is for:
# `pytest docs/howto/test_my_net.py --greenbench-suite mine`.
collect_ignore_glob = ["_build/*", "howto/test_my_net.py"]


@pytest.fixture(autouse=True)
def _page_tables(doctest_namespace: dict[str, Callable[..., object]]) -> None:
    """Let a page compare its own tables with the code."""
    doctest_namespace["table_of"] = table_of


def table_of(page: str, heading: str) -> list[list[str]]:
    """Return the body of the first table under a heading of a page, backticks removed."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = text.partition(f"# {heading}\n")[2]
    rows = []
    for line in section.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
        elif rows:
            break
    return rows[2:]
