"""What the examples in these pages get, and what of this folder pytest leaves alone."""

import importlib
import inspect
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from greenbench.results import CaseResult

DOCS = Path(__file__).parent

# Modules are collected by name, and so Keras may be imported before a backend
# has chosen its engine.
os.environ.setdefault("KERAS_BACKEND", "torch")

# The example benchmark trains for minutes. It is run by those whom it is for:
# `pytest docs/howto/test_my_net.py --greenbench-suite mine`.
# Those of frameworks, some of which may be missing, are run by tests/integration/test_adapters.py.
collect_ignore_glob = ["_build/*", "howto/test_my_net.py", "howto/your_framework/*"]


@pytest.fixture(autouse=True)
def _page_tables(doctest_namespace: dict[str, object]) -> None:
    """Let a page compare its own tables with the code, and know where the pages are."""
    doctest_namespace["table_of"] = table_of
    doctest_namespace["pages"] = DOCS


@pytest.fixture(autouse=True)
def _known_scripts(
    doctest_namespace: dict[str, Callable[..., object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the page on known scripts train their cases for a moment."""
    monkeypatch.syspath_prepend(DOCS / "howto" / "known_scripts")
    doctest_namespace["trained_briefly"] = trained_briefly


@pytest.fixture(autouse=True)
def _python_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page on Python get the results of a recorded run at once."""
    if request.node.name != "python.md":
        return
    import greenbench  # noqa: PLC0415
    from greenbench.results.journal import Journal  # noqa: PLC0415

    arguments = inspect.signature(greenbench.run)

    def recorded(*given: Any, **options: Any) -> greenbench.Results:
        arguments.bind(*given, **options)
        (journal,) = (DOCS.parent / "tests" / "older").glob("*.jsonl")
        result = Journal(journal).read().result
        assert result is not None
        return greenbench.Results([result])

    monkeypatch.setattr(greenbench, "run", recorded, raising=False)


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


def trained_briefly(name: str, **changed: Any) -> "CaseResult":
    """Return what one epoch of a known script's case gives, with parts of it changed."""
    # Heavy, and for one page only.
    from greenbench import registry  # noqa: PLC0415
    from greenbench.energy.carbon import CarbonIntensity  # noqa: PLC0415
    from greenbench.results.journal import Journal  # noqa: PLC0415
    from greenbench.search.bench import Bench  # noqa: PLC0415
    from greenbench.search.repeat import run_repeat  # noqa: PLC0415
    from greenbench.testing import FakeClock, FakeMeter  # noqa: PLC0415

    case = replace(importlib.import_module(name).CASE, epochs=1, **changed)
    clock = FakeClock()
    meters = [FakeMeter(clock, power_w=1.0) for _ in range(2)]
    backend = registry.backends.get(case.backend)(case.backend, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            backend, *meters, CarbonIntensity(1.0, "made up"), {}, Path(folder),
            lambda event, values: clock.advance(1.0),
        )  # fmt: skip
        return run_repeat(bench, case, 0, "docs", Journal.of(Path(folder), case, 0))
