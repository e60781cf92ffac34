"""What each question needs of the results of a session, so that it has an answer."""

from collections.abc import Sequence
from typing import Any

from greenbench.compare import ratios, returns, strategies
from greenbench.compare.columns import with_options
from greenbench.compare.sessions import Question

TWO_SIZES, TWO_STRATEGIES = "results of two sizes", "searches of two strategies"

OF_RETURNS = Question.of(TWO_SIZES, "architecture", returns.SERIES)
OF_STRATEGIES = Question.of(TWO_STRATEGIES, "strategy", strategies.OWN_GROUP)


def of_variants(compared: str) -> Question:
    """Return what pairs need that differ in one column."""
    needs = f"results of two {compared.removesuffix('s')}s"
    return Question.of(needs, compared, ratios.OWN_GROUP)


def of_factors(columns: Sequence[str]) -> Question:
    """Return what an explanation by some columns needs, or by options of architectures."""

    def explains(rows: Sequence[dict[str, Any]]) -> bool:
        found = [row for row in with_options(rows) if all(name in row for name in columns)]
        return all(len({row[name] for row in found}) > 1 for name in columns)

    return Question(f"results that differ in {', '.join(columns)}", explains)
