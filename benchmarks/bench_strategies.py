"""How often `compare strategies` errs, and what it shows: `python benchmarks/bench_strategies.py`.

Searches are simulated whose figures are known, and compared as anybody's are. A block (repeat) has
a split that makes all its scores better or worse; a trial's score and energy vary around its
strategy's.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from greenbench.compare.anytime import Anytime
from greenbench.compare.horizons import cut_at_energy, cut_at_trials
from greenbench.compare.searches import Search
from greenbench.compare.targets import compare_to_target, targets_of
from greenbench.compare.tolerance import POINT, Tolerance

SPLIT, TRIAL = 0.02, 0.01
"""Standard deviations of splits and of trials, as shares."""
ENERGY_CV = 0.2


@dataclass(frozen=True)
class Design:
    """What is simulated.

    Attributes
    ----------
    strategies, blocks, trials : int
        Numbers of them; trials of each search.
    better : float
        By how much the trials of the first strategy score more, in shares.
    share_blocks : bool
        Whether repeats share their splits, and say so.
    cut_off : int
        Number of blocks in which the last strategy's search has two trials only.
    split : float
        Standard deviation of the splits' effects.
    """

    strategies: int = 2
    blocks: int = 6
    trials: int = 16
    better: float = 0.0
    share_blocks: bool = True
    cut_off: int = 0
    split: float = SPLIT


def searches(design: Design, random: np.random.Generator) -> dict[str, list[Search]]:
    """Return the searches of one experiment, as rows of trials would give them."""
    shape = design.strategies, design.blocks, design.trials
    own = 1 if design.share_blocks else design.strategies
    split = design.split * random.standard_normal((own, design.blocks, 1))
    level = np.array([design.better, *[0.0] * (design.strategies - 1)])[:, None, None]
    gains = 0.8 + split + level + TRIAL * random.standard_normal(shape)
    gains = np.maximum.accumulate(gains, axis=2)
    energies = np.cumsum(np.exp(ENERGY_CV * random.standard_normal(shape)), axis=2)
    prior = "log" if design.share_blocks else None

    def search(one: int, repeat: int) -> Search:
        is_cut = one == design.strategies - 1 and repeat < design.cut_off
        end = 2 if is_cut else design.trials
        best = gains[one, repeat, :end]
        row = {"repeat": repeat, "prior": prior}
        return Search(f"s{one}", (row,), best, Anytime(energies[one, repeat, :end], best), None)

    return {
        f"s{one}": [search(one, repeat) for repeat in range(design.blocks)]
        for one in range(design.strategies)
    }


def shares(
    design: Design, simulations: int, seed: int = 0, against: str | None = None
) -> dict[str, float]:
    """Return in which share of experiments any strategies are said to differ, by question."""
    random = np.random.default_rng(seed)
    said = dict.fromkeys(("equal_energy", "equal_trials", "to_target"), 0)
    for _ in range(simulations):
        found = searches(design, random)
        energy = cut_at_energy(found, against)
        targets = targets_of(found, Tolerance(POINT))
        pairs = (
            energy.pairs if energy else (),
            cut_at_trials(found, against).pairs,
            compare_to_target(found, targets, against),
        )
        for question, tested in zip(said, pairs, strict=True):
            said[question] += any(pair.is_significant for pair in tested)
    return {question: number / simulations for question, number in said.items()}


def designs() -> list[tuple[Design, str | None]]:
    """Return what the page on statistics tells of, and which strategy is tested against others."""
    null: list[tuple[Design, str | None]] = [
        (Design(strategies=k, blocks=n, share_blocks=shared), name)
        for k, n, name in ((2, 6, None), (2, 10, None), (3, 10, None), (3, 6, "s0"), (5, 10, "s0"))
        for shared in (True, False)
    ]
    power: list[tuple[Design, str | None]] = [
        (Design(blocks=n, better=0.01, share_blocks=shared, cut_off=cut), None)
        for n in (6, 10)
        for shared in (False, True)
        for cut in (0, 1)
    ]
    return [*null, *power]


@click.command()
@click.option("--simulations", default=2000, show_default=True)
@click.option("--output", type=click.Path(path_type=Path))
def main(*, simulations: int, output: Path | None) -> None:
    """Print a line a design, and write them as JSON."""
    found = []
    for design, against in designs():
        said = shares(design, simulations, against=against)
        found.append({**asdict(design), "against": against, "simulations": simulations, **said})
        click.echo(json.dumps(found[-1]))
    if output:
        output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
