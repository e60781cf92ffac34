"""How plausible each lag and transient is, by what ticks tell: these, and earlier ones.

Lag and transient belong to the device. What one repeat leaves open, several tell together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import cast

import numpy as np
from scipy.special import expit, logsumexp

from greenbench.energy.lateness import Transient, transients
from greenbench.energy.regression import Regression

# What an expected lag is, in ticks: its prior is exponential, since a counter may be late, but
# hardly by more than a tick.
EXPECTED_LAG = 0.2
MOST_MODELS = 24
LEAST_EVIDENCE = 6.0
"""An explanation whose logarithm of evidence is lower than the best one's by more is left out."""
RULED_OUT = 20.0
"""The same of a transient that is not tried again."""
CHANGED = 0.01
"""How plausible it is, before any tick is seen, that a device is not any more what it was."""


@dataclass(frozen=True)
class Explanation:
    """One of those that are averaged.

    Attributes
    ----------
    weight : float
        How plausible it is; all weights sum to 1.
    lag_s : float
        By how much the counter runs behind.
    transient : Transient
        How power follows work.
    """

    weight: float
    lag_s: float
    transient: Transient


Node = tuple[float, float, Transient]
"""The logarithm of the evidence of an explanation, its lag in seconds, and its transient."""


@dataclass(frozen=True)
class Earlier:
    """What earlier ticks of the same counter tell.

    Attributes
    ----------
    regressions : tuple of Regression
        At least one.
    nodes : list of Node
        What they tell together.
    """

    regressions: tuple[Regression, ...]
    nodes: list[Node]

    def latest(self, most: int) -> "Earlier":
        """Return what the latest tell that have as many ticks in all, one of them at least."""
        kept = list(self.regressions)
        while len(kept) > 1 and sum(each.work.joules.size for each in kept) > most:
            kept.pop(0)
        is_all = len(kept) == len(self.regressions)
        return self if is_all else Earlier(tuple(kept), _nodes(kept))

    @cached_property
    def open(self) -> list[Transient]:
        """The transients that they do not rule out."""
        top = max(log for log, _, _ in self.nodes)
        return list(dict.fromkeys(which for log, _, which in self.nodes if log > top - RULED_OUT))


@dataclass(frozen=True)
class Evidence:
    """What ticks tell of lag and transient, with earlier ones.

    For each transient the lag is fitted, and weighed by Laplace's approximation: evidence is the
    likelihood (of normal residuals of unknown variance: squares ** (-freedom / 2)) times prior,
    integrated over the lag. Three nodes of Gauss-Hermite's rule stand for each such normal.

    Earlier ticks multiply the likelihood, unless the device has changed since then: the prior is a
    mixture of what they tell and of one that knows nothing (Schmidli et al. 2014,
    doi:10.1111/biom.12242).

    Attributes
    ----------
    regression : Regression
        Of the ticks at hand.
    earlier : Earlier or None
        What earlier ones tell.
    tried : sequence of Transient or None
        What power may do at edges; `transients` of the tick by default.
    longest_s : float or None
        The longest lag that is tried, in seconds; a tick by default.
    """

    regression: Regression
    earlier: Earlier | None = None
    tried: Sequence[Transient] | None = None
    longest_s: float | None = None

    @property
    def explanations(self) -> list[Explanation]:
        """Those that count, the best one first."""
        if self.earlier is None:
            return _weighed(self._alone)
        shares = ((self._both, self.is_same), (self._alone, 1 - self.is_same))
        return _weighed(
            [
                (log - _sum(nodes) + float(np.log(share)), lag_s, transient)
                for nodes, share in shares
                for log, lag_s, transient in nodes
            ]
        )

    def learned(self) -> Earlier:
        """Return what is known now; if the device has changed, only what these ticks tell."""
        if self.earlier is None or self.is_same < 1 - self.is_same:
            return Earlier((self.regression,), self._alone)
        return Earlier((*self.earlier.regressions, self.regression), self._both)

    @cached_property
    def is_same(self) -> float:
        """The probability that the device is what it was."""
        if self.earlier is None:
            return 0.0
        gain = _sum(self._both) - _sum(self.earlier.nodes) - _sum(self._alone)
        odds = gain + float(np.log((1 - CHANGED) / CHANGED))
        return float(np.clip(expit(odds), 1e-12, 1 - 1e-12))

    @cached_property
    def _alone(self) -> list[Node]:
        return _nodes([self.regression], self.tried, self.longest_s)

    @cached_property
    def _both(self) -> list[Node]:
        earlier = cast(Earlier, self.earlier)
        return _nodes([*earlier.regressions, self.regression], earlier.open, self.longest_s)


def _sum(nodes: list[Node]) -> float:
    return float(logsumexp([log for log, _, _ in nodes]))


def _weighed(nodes: list[Node]) -> list[Explanation]:
    top = max(log for log, _, _ in nodes)
    kept = sorted(nodes, key=lambda node: -node[0])[:MOST_MODELS]
    kept = [node for node in kept if node[0] > top - LEAST_EVIDENCE]
    whole = _sum(kept)
    return [
        Explanation(float(np.exp(log - whole)), lag_s, transient) for log, lag_s, transient in kept
    ]


def _nodes(
    regressions: Sequence[Regression],
    tried: Sequence[Transient] | None = None,
    longest_s: float | None = None,
) -> list[Node]:
    tick_s = regressions[0].work.tick_s

    def evidence(transient: Transient, lag_s: float) -> float:
        prior = float(np.log(transient.prior)) - lag_s / (EXPECTED_LAG * tick_s)
        return prior + sum(each.likelihood(transient, lag_s) for each in regressions)

    longest = tick_s if longest_s is None else longest_s
    return [
        (log, lag_s, transient)
        for transient in tried or transients(tick_s)
        for log, lag_s in _laplace(partial(evidence, transient), longest)
    ]


def _laplace(evidence: Callable[[float], float], longest_s: float) -> list[tuple[float, float]]:
    """Return logarithms of weights, with lags, for one transient."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415

    tried = [(evidence(lag), float(lag)) for lag in np.linspace(0.0, longest_s, 6)]
    start, apart = max(tried), longest_s / 5
    found = minimize_scalar(
        lambda lag: -evidence(lag),
        bounds=(max(start[1] - apart, 0.0), min(start[1] + apart, longest_s)),
        method="bounded",
        options={"xatol": 0.005 * longest_s},
    )
    # The minimiser never tries its bounds, and no lag at all is one of them.
    top, best_s = max(start, (-float(found.fun), float(found.x)))
    step = 0.01 * longest_s
    sides = [evidence(lag) for lag in (best_s - step, best_s + step) if lag >= 0]
    drop = float(np.mean([top - side for side in sides]))
    deviation = step / np.sqrt(max(2 * drop, (step / longest_s) ** 2))
    nodes = []
    for away, share in ((-np.sqrt(3), 1 / 6), (0.0, 2 / 3), (np.sqrt(3), 1 / 6)):
        lag_s = float(np.clip(best_s + away * deviation, 0.0, longest_s))
        # What the evidence there is over that of the normal, should it be none.
        nodes.append((evidence(lag_s) + away**2 / 2 + float(np.log(share * deviation)), lag_s))
    return nodes
