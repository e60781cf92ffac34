"""Tables of the page on speed, made from what `bench_training.py` wrote."""

from typing import Any

LOOPS = {
    "torch": "greenbench, torch backend",
    "bare": "bare loop",
    "control": "bare loop again (A/A)",
    "tutorial": "DataLoader and ToTensor",
    "lightning": "Lightning",
    "keras": "greenbench, Keras backend",
    "fit arrays": "Keras `fit`, arrays",
    "fit loader": "Keras `fit`, loader",
    "torch bfloat16": "torch backend, `precision=bfloat16`",
    "torch channels_last": "torch backend, `channels_last=true`",
}
BARRED = {
    "torch/bare": "torch backend over the bare loop",
    "torch/tutorial": "torch backend over the tutorial loop",
    "keras/fit": "Keras backend over the faster `fit`",
}


def figures(found: dict[str, Any]) -> dict[str, str]:
    """Return the substitutions of the page.

    Parameters
    ----------
    found : dict
        The contents of ``speed.json``.

    Returns
    -------
    dict of str to str
        Markdown by name.
    """
    networks = found["networks"]
    return {
        "speed_date": found["date"],
        "speed_batch": str(found["batch_size"]),
        "speed_versions": ", ".join(f"{name} {v}" for name, v in found["versions"].items()),
        "speed_rounds": str(networks[0]["over_bare"]["torch"]["n"]),
        "speed_bars": _bars(found),
        "speed_images": _table(networks, "images_s", LOOPS, lambda each: f"{each['median']:,.0f}"),
        "speed_ratios": _table(networks, "over_bare", LOOPS, _interval),
        "speed_loss": f"{max(max(n['loss_deviation'].values()) for n in networks):.1e}",
        "speed_limits": _limits(found),
        "speed_profile": _profiles(networks),
        "speed_product": f"{found['limits']['flop_s'] / 1e9:.0f} GFLOP/s",
        "speed_copy": f"{found['limits']['bytes_s'] / 1e9:.1f} GB/s",
    }


def _bars(found: dict[str, Any]) -> str:
    return _table(
        found["networks"],
        "ratios",
        {name: f"{label}, at most {found['bars'][name]}" for name, label in BARRED.items()},
        lambda each: f"{_interval(each)}: {each['verdict']}",
    )


def _table(networks: list[dict[str, Any]], column: str, labels: dict[str, str], show: Any) -> str:
    table = _head("", [network["network"] for network in networks])
    for name, label in labels.items():
        cells = [
            show(network[column][name]) if name in network[column] else "" for network in networks
        ]
        if any(cells):
            table += f"| {label} | {' | '.join(cells)} |\n"
    return table


def _limits(found: dict[str, Any]) -> str:
    table = _head(
        "network", ["FLOPs an image", "of a product's FLOP/s", "least kB an image", "of the memory"]
    )
    for each in found["networks"]:
        table += (
            f"| {each['network']} | {each['train_flops']:,} | {each['flop_share']:.0%} "
            f"| {each['least_bytes'] / 1000:,.0f} | {each['memory_share']:.0%} |\n"
        )
    return table


def _profiles(networks: list[dict[str, Any]]) -> str:
    profiled = [network for network in networks if "profile" in network]
    table = _head("", [network["network"] for network in profiled])
    ranks = max((len(network["profile"]) for network in profiled), default=0)
    for rank in range(ranks):
        cells = [_operator(network["profile"], rank) for network in profiled]
        table += f"| {rank + 1} | {' | '.join(cells)} |\n"
    return table


def _operator(profile: dict[str, float], rank: int) -> str:
    ranked = list(profile.items())
    if rank >= len(ranked):
        return ""
    name, share = ranked[rank]
    return f"{name} {share:.1%}" if name == "all else" else f"`{name}` {share:.1%}"


def _head(first: str, columns: list[str]) -> str:
    return f"| {first} | {' | '.join(columns)} |\n" + "|---" * (1 + len(columns)) + "|\n"


def _interval(found: dict[str, Any]) -> str:
    return f"{found['median']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
