"""Ratios of several hosts: whether they agree, and if so what they say together.

Energies of hosts are never averaged; a ratio within each of them may be the same on all. Intervals
take hosts for independent. Those that ran equal repeats share seeds: where the seed decides how
long a training takes, as by early stopping, intervals are too narrow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from greenbench.compare.hosts import answer_each, by_host
from greenbench.compare.paired_means import ROUNDING, PairedMean, corrected
from greenbench.compare.pairs import ALPHA
from greenbench.compare.ratio import Ratio
from greenbench.compare.ratios import Ratios, baseline_of, compare_ratios
from greenbench.compare.stats import CONFIDENCE, bounds_of

Row = Mapping[str, Any]

FIGURES = ("energy", "duration")
"""Scores are decided by seeds, which hosts share: those of a second one are no further samples."""


@dataclass(frozen=True)
class Together:
    """One variant against the baseline, in one group, on several hosts.

    Attributes
    ----------
    group, variant, baseline : str
        As of a `Ratio`.
    hosts : tuple of str
        Those that have an interval of the ratio of energies.
    energy, duration : PairedMean or None
        Geometric mean of the hosts' ratios, each counted once, with its interval; p is Holm's over
        groups and variants. None where hosts differ, or fewer than two have an interval.
    energy_apart, duration_apart : float or None
        p of hosts having different ratios; None where fewer than two have an interval.
    reason : str or None
        Why there is no energy.
    """

    group: str
    variant: str
    baseline: str
    hosts: tuple[str, ...]
    energy: PairedMean | None
    duration: PairedMean | None
    energy_apart: float | None
    duration_apart: float | None
    reason: str | None = None

    def record(self) -> dict[str, Any]:
        """Return a row of a flat table, with the columns of a `Ratio`."""
        record: dict[str, Any] = {
            "host": "all hosts",
            "group": self.group,
            "variant": self.variant,
            "baseline": self.baseline,
            "hosts": len(self.hosts),
        }
        for name in FIGURES:
            found = getattr(self, name)
            record |= {f"{name}_ratio": found and found.mean, **bounds_of(found, name)}
            record |= {f"{name}_p": found and found.p}
            record[f"{name}_apart_p"] = getattr(self, f"{name}_apart")
        return {**record, "reason": self.reason}


@dataclass(frozen=True)
class OverHosts:
    """The ratios of several hosts beside each other.

    Attributes
    ----------
    compared, baseline : str
        As of `Ratios`.
    provenance, scope : str or None
        Of the energies of all hosts; None where these differ.
    hosts : tuple of str
        All of them, in words.
    ratios : tuple of Together
        By group and variant, of those that two hosts have.
    """

    compared: str
    baseline: str
    provenance: str | None
    scope: str | None
    hosts: tuple[str, ...]
    ratios: tuple[Together, ...]

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if not self.ratios:
            return f"No ratio is known on two of the {len(self.hosts)} hosts."
        said = [_say(each) for each in self.ratios]
        tests = sum(each.energy is not None for each in self.ratios)
        more = [f"p is corrected for {tests} comparisons (Holm)."] if tests > 1 else []
        return " ".join([*said, *more])

    def records(self) -> list[dict[str, Any]]:
        """Return the table, a row a group and variant."""
        common = {"energy_provenance": self.provenance, "energy_scope": self.scope}
        return [{**each.record(), **common} for each in self.ratios]


@dataclass(frozen=True)
class PerHost:
    """Ratios of each host, and what they say together if there are several.

    Attributes
    ----------
    each : tuple of Ratios
        One a host.
    together : OverHosts or None
        None of a single host.
    notes : tuple of str
        Which hosts have no answer, and why.
    """

    each: tuple[Ratios, ...]
    together: OverHosts | None
    notes: tuple[str, ...] = ()

    @property
    def answers(self) -> list[Ratios | OverHosts]:
        """All of them."""
        return [*self.each, *([self.together] if self.together else [])]


def compare_on_hosts(
    rows: Iterable[Row], compared: str, *, baseline: str | None = None, **options: Any
) -> PerHost:
    """Return paired ratios on each host, and whether hosts agree.

    Parameters
    ----------
    rows, compared, baseline, **options
        As `greenbench.compare.ratios.compare_ratios` takes them. The baseline is the same on all
        hosts; pairs are of one host.

    Raises
    ------
    GreenbenchError
        What that raises, if no host has an answer.
    """
    rows = list(rows)
    if len(by_host(rows)) <= 1:
        return PerHost((compare_ratios(rows, compared, baseline=baseline, **options),), None)
    chosen = baseline_of(rows, compared, baseline)

    def ask(members: list[Row]) -> list[Ratios]:
        return [compare_ratios(members, compared, baseline=chosen, **options)]

    found = answer_each(rows, ask)
    together = over_hosts(found.answers) if len(found.answers) > 1 else None
    return PerHost(found.answers, together, found.notes)


def over_hosts(each: Sequence[Ratios]) -> OverHosts:
    """Return what the ratios of several hosts say together.

    Whether they differ is tested by Welch's analysis of variance of unequal variances on logarithms
    (Welch 1951, Biometrika 38, 330-336): Cochran's Q (1937) with a correction for variances that
    are estimated from few pairs. Where they are not shown to, the mean of the hosts' mean
    logarithms, each counted once, has an interval by Welch and Satterthwaite (Satterthwaite 1946,
    Biometrics Bulletin 2, 110-114). It speaks of these hosts, and not of further ones.

    Parameters
    ----------
    each : sequence of Ratios
        One a host, at least two, to one baseline.
    """
    known: dict[tuple[str, str], dict[str, Ratio]] = {}
    for place, answer in enumerate(each):
        for ratio in answer.ratios:
            host = answer.host or str(place)
            known.setdefault((ratio.group, ratio.variant), {})[host] = ratio
    ways = {(answer.provenance, answer.scope) for answer in each}
    several = [_together(found) for found in known.values() if len(found) > 1]
    if len(ways) > 1:
        several = [replace(one, energy=None, reason=_otherwise(ways)) for one in several]
    provenance, scope = ways.pop() if len(ways) == 1 else (None, None)
    return OverHosts(
        compared=each[0].compared,
        baseline=each[0].baseline,
        provenance=provenance,
        scope=scope,
        hosts=tuple(answer.host or str(place) for place, answer in enumerate(each)),
        ratios=_as_one_family(several),
    )


def _otherwise(ways: Iterable[tuple[str | None, str | None]]) -> str:
    said = sorted(" ".join(word or "unknown" for word in way) for way in ways)
    return f"energies came about differently on hosts: {', '.join(said)}"


def _together(found: Mapping[str, Ratio]) -> Together:
    first = next(iter(found.values()))
    figures: dict[str, Any] = {}
    for name in FIGURES:
        means = [mean for ratio in found.values() if _has_interval(mean := getattr(ratio, name))]
        apart = _apart(means)
        agree = apart is not None and apart >= ALPHA
        figures |= {name: _mean(means) if agree else None, f"{name}_apart": apart}
    hosts = tuple(host for host, ratio in found.items() if _has_interval(ratio.energy))
    reason = None
    if figures["energy"] is None:
        p = figures["energy_apart"]
        reason = "fewer than two hosts have two pairs" if p is None else "hosts differ"
    return Together(first.group, first.variant, first.baseline, hosts, reason=reason, **figures)


def _has_interval(found: PairedMean | None) -> bool:
    return found is not None and found.low is not None


def _spread(found: PairedMean) -> float:
    """Return the variance of the mean logarithm of a host's pairs, by its interval."""
    assert found.low is not None
    assert found.high is not None
    quantile = student_t.ppf((1 + CONFIDENCE) / 2, found.n - 1)
    error = (log(found.high) - log(found.low)) / 2 / quantile
    return 0.0 if error < ROUNDING else error**2


def _apart(means: Sequence[PairedMean]) -> float | None:
    """Return the p of hosts having different ratios; None where nothing can be tested."""
    # Late: a table of one host need not wait for it.
    from statsmodels.stats.oneway import anova_generic  # noqa: PLC0415

    if len(means) <= 1:
        return None
    logs = np.array([log(found.mean) for found in means])
    spreads = np.array([_spread(found) for found in means])
    counts = np.array([found.n for found in means])
    if not spreads.any():
        return 1.0 if np.ptp(logs) < ROUNDING else 0.0
    # A host without any spread would have all the weight.
    use = "unequal" if spreads.all() else "equal"
    return float(anova_generic(logs, spreads * counts, counts, use_var=use).pvalue)


def _mean(means: Sequence[PairedMean]) -> PairedMean:
    """Return the mean over hosts, each counted once."""
    logs = np.array([log(found.mean) for found in means])
    parts = np.array([_spread(found) for found in means]) / len(means) ** 2
    mean, error = float(logs.mean()), float(np.sqrt(parts.sum()))
    median = exp(float(np.median(logs)))
    if not error:
        p = 1.0 if abs(mean) < ROUNDING else 0.0
        return PairedMean(exp(mean), exp(mean), exp(mean), len(means), CONFIDENCE, p, median)
    freedom = np.array([found.n - 1 for found in means])
    df = parts.sum() ** 2 / (parts**2 / freedom).sum()
    half = float(student_t.ppf((1 + CONFIDENCE) / 2, df)) * error
    p = 2 * float(student_t.sf(abs(mean) / error, df))
    low, high = exp(mean - half), exp(mean + half)
    return PairedMean(exp(mean), low, high, len(means), CONFIDENCE, p, median)


def _as_one_family(several: Sequence[Together]) -> tuple[Together, ...]:
    found = list(several)
    for name in FIGURES:
        known = [place for place, each in enumerate(found) if getattr(each, name) is not None]
        for place, figure in zip(
            known, corrected([getattr(found[i], name) for i in known]), strict=True
        ):
            changed: dict[str, Any] = {name: figure}
            found[place] = replace(found[place], **changed)
    return tuple(found)


def _say(found: Together) -> str:
    where = f" in {found.group}" if found.group else ""
    what = f"{found.variant} to {found.baseline}{where}"
    if found.energy is None or found.energy_apart is None:
        why = found.reason
        if found.reason == "hosts differ":
            why = f"hosts differ, p = {found.energy_apart:.2g}: read each by itself"
        return f"{what}: no common ratio of energies ({why})."
    mean = found.energy
    shown = "it differs" if mean.is_shown else "no difference is shown"
    return (
        f"Over {len(found.hosts)} hosts, which are not shown to differ "
        f"(p = {found.energy_apart:.2g}), {found.variant} takes {mean.mean:.3g} "
        f"[{mean.low:.3g}, {mean.high:.3g}] times the energy of {found.baseline}{where} "
        f"({shown}, p = {mean.p:.2g})."
    )
