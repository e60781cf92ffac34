"""What the documentation and the suites tell people to run is able to prove what it asks.

The data are as clear as can be: where even they don't reach 5%, no run would.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from greenbench import registry
from greenbench.cases import Case, split_network
from greenbench.cli.compare import compare
from greenbench.cli.run import run
from greenbench.compare.decision import decide
from greenbench.compare.strategies import compare_strategies
from greenbench.gate.budgets import read_budgets

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
RATIOS = ("backends", "threads", "optimizers", "schedules", "practices")
OWN_SUITES = ("ci", "scaling", "strategies", "tabular", "backends", "layers", "paper", "tasks")
FEWEST_FOR_RATIO = 3
"""Pairs: a Student interval of the logarithms of fewer is as wide as can be."""


@dataclass(frozen=True)
class Asked:
    """What a run has: strategies, sizes and repeats, and a trial budget that a search needs."""

    strategies: tuple[str, ...]
    sizes: tuple[str, ...]
    repeats: int


def of_cases(cases: Sequence[Case]) -> list[Asked]:
    """Return what is compared with each other: by network and backend, as strategies and sizes."""
    searches: dict[tuple[object, ...], list[Case]] = {}
    for case in cases:
        key = (case.architecture, case.size, case.architecture_options, case.backend, case.dataset)
        searches.setdefault(key, []).append(case)
    families: dict[tuple[object, ...], list[Case]] = {}
    for case in cases:
        key = (case.architecture, case.strategy, case.scheduler, case.backend, case.dataset)
        families.setdefault(key, []).append(case)
    names = [tuple(f"{c.strategy}+{c.scheduler}" for c in group) for group in searches.values()]
    found = [
        Asked(tuple(dict.fromkeys(each)), (), min(c.repeats for c in group))
        for each, group in zip(names, searches.values(), strict=True)
    ]
    return found + [
        Asked((), tuple(str(c.size) for c in group), min(c.repeats for c in group))
        for group in families.values()
        if len({case.size for case in group}) > 1
    ]


def of_command(line: str) -> list[Asked]:
    """Return what a documented `greenbench run` compares, whichever files it would load."""
    words = shlex.split(line, comments=True)[2:]
    given = run.make_context("run", words, resilient_parsing=True).params
    repeats = given["repeats"]
    if given["suite"] in OWN_SUITES:
        cases = registry.suites.get(given["suite"])()
        found = of_cases(
            [c for c in cases if not given["strategy"] or c.strategy in given["strategy"]]
        )
        return [Asked(e.strategies, e.sizes, repeats or e.repeats) for e in found]
    networks = [split_network(name)[1] for name in given["architecture"]]
    sizes = tuple(str(size) for size in networks) if len(networks) > 1 else ()
    default = Case().repeats
    return [Asked(tuple(given["strategy"]) or ("default",), sizes, repeats or default)]


def can_tell_strategies(asked: Asked) -> bool:
    """Return whether each two strategies can be told apart, at 5% over all pairs."""
    trials = [
        {
            "strategy": name, "prior": "log", "session": "s", "repeat": repeat, "trial": trial,
            "energy_wh": 1.0, "val_score": 0.5 + 0.02 * place + 0.001 * repeat,
        }
        for place, name in enumerate(asked.strategies)
        for repeat in range(asked.repeats)
        for trial in range(2)
    ]  # fmt: skip
    (found,) = compare_strategies(trials, group=())
    assert found.equal_energy is not None
    return all(pair.is_significant for pair in found.equal_energy.pairs)


def can_tell_sizes(asked: Asked) -> bool:
    """Return whether the smallest size that is good enough can be proven to be."""
    sizes = [
        (name, float(place), [0.5 + 0.1 * min(place, 1) + 1e-4 * r for r in range(asked.repeats)])
        for place, name in enumerate(asked.sizes)
    ]
    return asked.repeats >= FEWEST_FOR_RATIO and decide(sizes).choice == asked.sizes[1]


def unable(asked: Sequence[Asked], questions: Sequence[str]) -> list[str]:
    """Return what cannot be proven, in words."""
    found = []
    for each in asked:
        if "strategies" in questions and len(each.strategies) > 1 and not can_tell_strategies(each):
            found.append(f"{len(each.strategies)} strategies by {each.repeats} repeats")
        if "returns" in questions and len(each.sizes) > 1 and not can_tell_sizes(each):
            found.append(f"{len(each.sizes)} sizes by {each.repeats} repeats")
        if set(questions) & set(RATIOS) and each.repeats < FEWEST_FOR_RATIO:
            found.append(f"ratios by {each.repeats} repeats")
    return found


def blocks() -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield of each block of commands where it is, its runs and what it compares."""
    for page in PAGES:
        for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
            text = found[1].replace("\\\n", " ")
            commands = [line[2:] for line in text.splitlines() if line.startswith("$ greenbench ")]
            runs = [line for line in commands if line.startswith("greenbench run")]
            asks = [shlex.split(c, comments=True)[2:] for c in commands if " compare" in c]
            line = page.read_text(encoding="utf-8")[: found.start()].count("\n") + 1
            named = [next((w for w in words if w in compare.commands), "returns") for words in asks]
            if runs:
                # Whoever runs several strategies asks which, whether or not it says so.
                yield f"{page.relative_to(ROOT)}:{line}", runs, [*named, "strategies"]


@pytest.mark.parametrize(
    ("runs", "questions"), [pytest.param(r, q, id=where) for where, r, q in blocks()]
)
def test_documented_commands_can_prove_what_they_ask(runs: list[str], questions: list[str]) -> None:
    found = {line: unable(of_command(line), questions) for line in runs}
    assert {line: each for line, each in found.items() if each} == {}


@pytest.mark.parametrize("name", OWN_SUITES)
def test_suites_can_prove_what_they_are_for(name: str) -> None:
    questions = ["strategies", "returns"] + (["backends"] if name == "backends" else [])
    assert unable(of_cases(registry.suites.get(name)()), questions) == []


def test_suites_that_were_too_small_are_found() -> None:
    """Three strategies by six repeats: 2/2**6 over three pairs is above 5%."""
    few = [Asked(("a", "b", "c"), (), 6), Asked(("a", "b"), (), 5), Asked((), ("s", "m"), 2)]
    enough = [Asked(("a", "b", "c"), (), 7), Asked(("a", "b"), (), 6), Asked((), ("s", "m"), 3)]
    assert len(unable(few, ["strategies", "returns"])) == len(few)
    assert unable(enough, ["strategies", "returns"]) == []


def test_budgets_of_the_ci_suite_need_no_more_repeats_than_it_has() -> None:
    budgets = read_budgets(ROOT / "benchmarks" / "budgets.toml")
    for case in registry.suites.get("ci")():
        assert [x.metric for x in budgets.of(case.id) if x.rounds > case.repeats] == []
