"""Scaling: what more devices for one training cost in energy, and save in time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from greenbench.compare.comparable import ENERGY, SCORED, check_agree, check_cases, value_of
from greenbench.compare.hosts import host_column, on_host
from greenbench.compare.paired import by_repeat, divided, paired, ratio_of, score_difference_of
from greenbench.compare.paired_means import PairedMean, corrected, mean_ratio
from greenbench.compare.ratios import FAILED, OWN_GROUP
from greenbench.compare.samples import describe_samples, timed_rows
from greenbench.compare.scaling_wording import in_devices, in_words
from greenbench.compare.stats import Estimate, bounds_of, estimate
from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.results.scope import scope_of
from greenbench.results.scores import score_of
from greenbench.tasks import ACCURACY, Score

Row = Mapping[str, Any]
_Pairs = list[tuple[Row, Row]]

DEVICES = "devices"
FIGURES = ("energy", "speed_up", "efficiency", "score_difference", "product")


@dataclass(frozen=True)
class Devices:
    """A number of devices against the fewest.

    Attributes
    ----------
    devices : int
        How many share one training.
    n : int
        Samples whose energy counts.
    pairs : int
        Repeats that it has in common with the fewest devices; 0 of these themselves.
    energy_wh, duration_s : Estimate or None
        Medians of samples that count.
    energy : PairedMean or None
        Its energy over that of the fewest: geometric mean over pairs, with Student's interval on
        logarithms. p, here and below, is Holm's over all numbers of devices.
    speed_up : PairedMean or None
        The time of the fewest over its own, likewise.
    efficiency : PairedMean or None
        Speed-up as a share of how many times as many devices they are; p is that of its being 1.
    score_difference : PairedMean or None
        Its score less that of the fewest, in the score's unit.
    product : PairedMean or None
        Energy × time over that of the next fewer devices: above 1, they cost more energy than they
        save time.
    """

    devices: int
    n: int
    pairs: int
    energy_wh: Estimate | None
    duration_s: Estimate | None
    energy: PairedMean | None = None
    speed_up: PairedMean | None = None
    efficiency: PairedMean | None = None
    score_difference: PairedMean | None = None
    product: PairedMean | None = None

    def record(self) -> dict[str, Any]:
        """Return a row of a flat table."""
        record: dict[str, Any] = {"devices": self.devices, "n": self.n, "pairs": self.pairs}
        for name in ("energy_wh", "duration_s"):
            found = getattr(self, name)
            record |= {name: found and found.median, **bounds_of(found, name)}
        for name in FIGURES:
            found = getattr(self, name)
            mean_of = f"{name}_ratio" if name in ("energy", "product") else name
            record |= {mean_of: found and found.mean, **bounds_of(found, mean_of)}
            record[f"{mean_of}_p"] = found and found.p
        return record


@dataclass(frozen=True)
class Scaling:
    """One training on several numbers of devices.

    Attributes
    ----------
    group : str
        What they have in common.
    devices : tuple of Devices
        The fewest first.
    worth : int
        The number of devices beyond which more cost more energy than they save time: the step to
        the next number multiplies energy × time (Gonzalez and Horowitz 1996, IEEE Journal of
        Solid-State Circuits 31, 1277-1284) by more than 1. The largest number if no step does.
    is_shown : bool
        Whether that next step is shown to, at 5% over all steps.
    provenance, scope : str or None
        Of the energy figures, if known.
    judged_by : Score
        What the scores are.
    host : str or None
        Which host it is of, in words, where the table has several.
    """

    group: str
    devices: tuple[Devices, ...]
    worth: int
    is_shown: bool
    provenance: str | None = None
    scope: str | None = None
    judged_by: Score = ACCURACY
    host: str | None = None

    @property
    def fewest(self) -> Devices:
        """What others are compared with."""
        return self.devices[0]

    @property
    def most(self) -> Devices:
        """The largest number of devices."""
        return self.devices[-1]

    @property
    def beyond(self) -> Devices | None:
        """The next number after the one that is worth it; None if that is the largest."""
        return next((each for each in self.devices if each.devices > self.worth), None)

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return on_host(self.host, in_words(self))

    def records(self) -> list[dict[str, Any]]:
        """Return the table, a row a number of devices."""
        common = {"energy_provenance": self.provenance, "energy_scope": self.scope}
        return [
            {
                **host_column(self.host),
                "group": self.group,
                **each.record(),
                "is_worth": each.devices == self.worth,
                **common,
            }
            for each in self.devices
        ]


def compare_scaling(
    rows: Iterable[Row],
    *,
    group: Sequence[str] = OWN_GROUP,
    include_disturbed: bool = False,
) -> list[Scaling]:
    """Return how each training scales with its devices.

    Repeats are paired by their number, as they meet the same split and order of samples, and by
    their session where rows have one (see `greenbench.compare.parts.to_pairs`).

    Parameters
    ----------
    rows : iterable of mapping
        Results, of older versions on one device; failed repeats are left out.
    group : sequence of str
        Columns that must agree.
    include_disturbed : bool
        Whether the energy and time of disturbed samples count.

    Raises
    ------
    NotComparableError
        If figures differ in provenance, scope, host or score, one number of devices has several
        definitions, or no group has two numbers of devices.
    ConfigurationError
        If a row's number of devices is none.
    """
    rows = [row for row in rows if row.get("status") != FAILED]
    check_cases(rows)
    groups: dict[str, dict[int, list[Row]]] = {}
    for row in rows:
        known = [str(row[name]) for name in group if name != DEVICES and row.get(name) is not None]
        groups.setdefault(", ".join(known), {}).setdefault(_number(row), []).append(row)
    several = {name: members for name, members in groups.items() if len(members) > 1}
    if not several:
        numbers = sorted({number for members in groups.values() for number in members})
        on = " and ".join(map(str, numbers))
        found = f"each ran on one only ({on})" if numbers else "there is none"
        raise NotComparableError(
            f"devices: scaling needs one training on two numbers of devices, and {found}; run it "
            "on another number with `--devices`"
        )
    check_agree(DEVICES, [r for r in rows if r["energy_wh"] is not None], ENERGY)
    return [_scaling(name, found, include_disturbed) for name, found in several.items()]


def _number(row: Row) -> int:
    text = str(value_of(row, DEVICES))
    if not text.isdecimal() or int(text) < 1:
        place = getattr(row, "place", row.get("case_id") or "a row")
        raise ConfigurationError(f"{place}: devices is {text!r}; expected a whole number above 0")
    return int(text)


def _scaling(group: str, members: Mapping[int, Sequence[Row]], include_disturbed: bool) -> Scaling:
    everything = [row for samples in members.values() for row in samples]
    check_agree(group or DEVICES, everything, SCORED)
    for number, samples in members.items():
        check_agree(f"{in_devices(number)} in {group}", samples, {"case_hash": "definition"})
    ordered = sorted(members)
    known = {n: _Samples(in_devices(n), members[n], include_disturbed) for n in ordered}
    found = [_fewest(ordered[0], known[ordered[0]])]
    for before, number in pairwise(ordered):
        found.append(_against(ordered[0], before, number, known))
    devices = _as_one_family(found)
    worth, is_shown = _worth(devices)
    first = next((row for row in everything if row["energy_wh"] is not None), everything[0])
    return Scaling(
        group=group,
        devices=devices,
        worth=worth,
        is_shown=is_shown,
        provenance=first.get("energy_provenance"),
        scope=scope_of(first),
        judged_by=score_of(everything[0]),
    )


class _Samples:
    """The samples of a number of devices, by their repeats: all, and those that count."""

    def __init__(self, name: str, rows: Sequence[Row], include_disturbed: bool) -> None:
        counted = describe_samples(rows, include_disturbed=include_disturbed).counted
        timed = timed_rows(rows, include_disturbed=include_disturbed)
        known = {id(row) for row in counted}
        both = [row for row in timed if id(row) in known]
        self.energies = [row["energy_wh"] for row in counted]
        self.times = [row["duration_s"] for row in timed]
        self.all, self.counted, self.timed, self.both = (
            by_repeat(name, each) for each in (rows, counted, timed, both)
        )


def _fewest(number: int, samples: _Samples) -> Devices:
    return Devices(number, len(samples.energies), 0, *_medians(samples))


def _medians(samples: _Samples) -> tuple[Estimate | None, Estimate | None]:
    energies, times = samples.energies, samples.times
    return (estimate(energies) if energies else None, estimate(times) if times else None)


def _against(fewest: int, before: int, number: int, samples: Mapping[int, _Samples]) -> Devices:
    base, own, previous = samples[fewest], samples[number], samples[before]
    # The slower one first: how many times as fast.
    faster = [r for p in paired(base.timed, own.timed) if (r := divided(p, "duration_s"))]
    pairs = paired(own.all, base.all)
    return Devices(
        number,
        len(own.energies),
        len(pairs),
        *_medians(own),
        energy=ratio_of(paired(own.counted, base.counted), "energy_wh"),
        speed_up=mean_ratio(faster) if faster else None,
        efficiency=mean_ratio([r * fewest / number for r in faster]) if faster else None,
        score_difference=score_difference_of(pairs),
        product=_product(paired(own.both, previous.both)),
    )


def _product(pairs: _Pairs) -> PairedMean | None:
    """Return energy × time of one over that of the other."""
    ratios = []
    for pair in pairs:
        energy, time = divided(pair, "energy_wh"), divided(pair, "duration_s")
        if energy is not None and time is not None:
            ratios.append(energy * time)
    return mean_ratio(ratios) if ratios else None


def _worth(devices: Sequence[Devices]) -> tuple[int, bool]:
    """Return the last number before the first step that multiplies energy × time by over 1."""
    for before, each in pairwise(devices):
        if each.product is not None and each.product.mean > 1:
            return before.devices, each.product.is_shown
    return devices[-1].devices, False


def _as_one_family(found: Sequence[Devices]) -> tuple[Devices, ...]:
    several = list(found)
    for name in FIGURES:
        known = [place for place, each in enumerate(several) if getattr(each, name) is not None]
        figures = corrected([getattr(several[place], name) for place in known])
        for place, figure in zip(known, figures, strict=True):
            changed: dict[str, Any] = {name: figure}
            several[place] = replace(several[place], **changed)
    return tuple(several)
