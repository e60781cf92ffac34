"""What strategies propose first is what they proposed before there were categories."""

import json
from pathlib import Path

import pytest

from greenbench import registry
from greenbench.strategies.spaces import ADAM, PAPER3, PAPER5

PINNED = json.loads((Path(__file__).parent / "first_proposals.json").read_text(encoding="utf-8"))
"""Values by strategy and space, of searches of 9 trials with seed 7.

Of a search that learns they are those before it has a model: what a model says may differ in its
last bits between machines.
"""


def score(values: list[float]) -> float:
    return 1 / (1 + sum(map(abs, values)))


@pytest.mark.parametrize("space", [ADAM, PAPER3, PAPER5], ids=lambda space: space.name)
@pytest.mark.parametrize("name", PINNED)
def test_first_proposals_are_the_same_to_the_bit(name, space):
    strategy = registry.strategies.get(name)(space, trials=9, seed=7)
    for values in PINNED[name][space.name]:
        proposal = strategy.ask()
        assert list(proposal.values()) == values
        strategy.tell(proposal, score(values))


def test_each_built_in_strategy_is_pinned():
    built_in = [
        each for each in registry.strategies.names() if registry.strategies.origin(each) is None
    ]
    assert sorted(PINNED) == built_in
