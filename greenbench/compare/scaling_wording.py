"""How the scaling of a training over devices is put into words."""

from typing import TYPE_CHECKING

from greenbench.compare.paired_means import PairedMean
from greenbench.compare.units import with_unit
from greenbench.tasks.score_format import plain, scale, unit_apart, words

if TYPE_CHECKING:
    from greenbench.compare.scaling import Devices, Scaling


def in_words(found: "Scaling") -> str:
    """Return the answer in one sentence: the most devices, and from where on they do not pay.

    Parameters
    ----------
    found : Scaling
        With at least two numbers of devices.
    """
    where = f" in {found.group}" if found.group else ""
    fewest = in_devices(found.fewest.devices)
    most = found.most
    if most.energy is None or most.speed_up is None:
        missing = "energy" if most.energy is None else "time"
        return f"{in_devices(most.devices)} and {fewest}{where} have no pair of a known {missing}."
    said = (
        f"{in_devices(most.devices)} are {_times(most.speed_up)} as fast as {fewest}{where}"
        f"{_efficiency(most)}, for {_times(most.energy)} the energy{_verdict(most.energy)}"
        f"{_score(found, most)}"
    )
    return f"{said}; {_where_it_ends(found)}."


def in_devices(number: int) -> str:
    """Return a number of devices in words."""
    return f"{number} device{'' if number == 1 else 's'}"


def _times(found: PairedMean) -> str:
    interval = "" if found.low is None else f" [{found.low:.3g}, {found.high:.3g}]"
    return f"{found.mean:.3g}{interval} times"


def _efficiency(each: "Devices") -> str:
    found = each.efficiency
    if found is None:
        return ""
    low, high = found.low, found.high
    interval = "" if low is None or high is None else f" [{100 * low:.3g}, {100 * high:.3g}]"
    return f" (efficiency {100 * found.mean:.3g}%{interval})"


def _verdict(found: PairedMean) -> str:
    if found.p is None:
        return ""
    return f" ({'it differs' if found.is_shown else 'no difference is shown'}, p = {found.p:.2g})"


def _score(found: "Scaling", each: "Devices") -> str:
    score, apart = found.judged_by, each.score_difference
    if apart is None:
        return ""
    if not apart.mean and apart.low in (0, None) and apart.high in (0, None):
        return f", at the same {words(score)}"
    times = scale(score)[0]
    ends = (
        ""
        if apart.low is None or apart.high is None
        else f" [{plain(times * apart.low, '+')}, {plain(times * apart.high, '+')}]"
    )
    by = f"{plain(times * apart.mean, '+')}{ends} {unit_apart(score)}".strip()
    return f", at {by} of {words(score)}{_verdict(apart)}"


def _where_it_ends(found: "Scaling") -> str:
    """Return the number of devices beyond which more cost more energy than they save time."""
    beyond, worth = found.beyond, found.worth
    if beyond is None or beyond.product is None:
        return f"up to {in_devices(worth)}, none is shown to cost more energy than it saves time"
    p = "" if beyond.product.p is None else f", p = {beyond.product.p:.2g}"
    how = "it is shown" if found.is_shown else "not proven"
    own = next(each for each in found.devices if each.devices == worth)
    for_what = "" if own.energy_wh is None else f" ({with_unit(own.energy_wh.median)})"
    return (
        f"beyond {in_devices(worth)}{for_what}, more cost more energy than they save time "
        f"({how}{p}: energy × time of {beyond.devices} is {_times(beyond.product)} that of {worth})"
    )
