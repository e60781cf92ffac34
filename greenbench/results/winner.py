"""The winner of a search, as columns of a row."""

import json
from typing import Any

from greenbench.results import Trial


def winner_columns(best: Trial | None) -> dict[str, Any]:
    """Return which trial won and its hyperparameters as JSON; None without any.

    Parameters
    ----------
    best : Trial or None
        The incumbent of a repeat.
    """
    return {
        "incumbent_trial": None if best is None else str(best.index),
        "hyperparameters": None if best is None else json.dumps(dict(best.hyperparameters)),
    }
