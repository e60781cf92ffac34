"""Figures of the page on scale, from what `benchmarks/bench_scale.py` wrote."""

from typing import Any

BAR = 1.2
APART = {
    True: "The driver saw a host name and a start of the machine of its own, as on the login node "
    "of a cluster, and so told MLflow meanwhile.",
    False: "The driver was on the machine that measures, and so told MLflow at the end.",
}


def figures(load: dict[str, Any], growth: dict[str, Any]) -> dict[str, str]:
    """Return the substitutions of the page.

    Parameters
    ----------
    load, growth : dict
        As in ``results/scale_load.json`` and ``results/scale_growth.json``.
    """
    under, grown = load["figures"], growth["figures"]
    injected = under["injected"]
    return {
        "scale_machine": "{cpu}, {cores} cores, {memory_gib} GiB".format(**load["environment"]),
        "scale_date": load["at"][:10],
        "scale_workers": str(under["workers"]),
        "scale_cases": str(under["cases"]),
        "scale_once": str(under["once"]),
        "scale_trials": f"{under['trials']:,}",
        "scale_trials_once": f"{under['trials_once']:,}",
        "scale_off": str(under["phases_off"]),
        "scale_kills": str(injected.get("worker", 0)),
        "scale_drivers": str(injected.get("driver", 0)),
        "scale_restarts": str(injected.get("store", 0)),
        "scale_repeat": f"{under['busy_s'] / under['cases']:.1f} s",
        "scale_cores": load["environment"]["cores"],
        "scale_wall": f"{(under['until_tail_s'] + under['tail_s']) / 60:.1f} min",
        "scale_stretch": f"{under['stretch']:.2f}",
        "scale_tail": f"{under['tail_s'] / 60:.1f} min",
        "scale_until_tail": f"{under['stretch_until_tail']:.2f}",
        "scale_apart": APART[under["driver_is_apart"]],
        "scale_bar": _bar(under["stretch_until_tail"], under["stretch"]),
        "scale_grown": f"{grown['trials']:,}",
        "scale_memory": f"{grown['driver_mib']:.0f} MiB",
        "scale_journal": f"{grown['journal_bytes_a_trial'] / 1000:.1f} kB",
        "scale_store": f"{grown['store_bytes_a_trial'] / 1000:.1f} kB",
        "scale_told": f"{grown['delivered_trials']:,}",
        "scale_delivery": f"{grown['delivery_ms']:.0f} ms",
        "scale_decades": _decades(grown["decades"]),
    }


def _bar(until_tail: float, whole: float) -> str:
    if whole <= BAR:
        came = "met, with the end"
    elif until_tail <= BAR:
        came = "met until the last repeat has ended, and missed with the end"
    else:
        came = "missed, even without the end"
    return f"The bar is {BAR}: it is {came}."


def _decades(decades: list[dict[str, float]]) -> str:
    lines = [
        "| trials that were over | CPU a trial, driver | CPU a trial, worker |",
        "|---|---|---|",
    ]
    for each in decades:
        reach = f"{each['from']:,.0f} to {each['to']:,.0f}"
        lines.append(f"| {reach} | {each['driver_ms']:.1f} ms | {each['worker_ms']:.1f} ms |")
    return "\n".join(lines)
