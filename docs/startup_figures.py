"""Figures of the page on start-up and fixed costs, from what the benchmarks wrote."""

from collections.abc import Sequence
from typing import Any

BODY = ("median", "low", "high")


def figures(found: dict[str, Any]) -> dict[str, str]:
    """Return the page's substitutions.

    Parameters
    ----------
    found : dict
        ``startup`` and ``sweep``: what is in the JSON files of those names.
    """
    startup, sweep = found["startup"], found["sweep"]
    bars = sweep["bars"]
    return {
        "startup_date": startup["date"],
        "startup_machine": "{cpu}, {cores} cores, {memory_gib} GiB".format(**startup["machine"]),
        "startup_commands": _table(
            ("from the start of", "takes", "bar"),
            [
                (f"`greenbench {name}`", _interval(each, " s"), _bar(each, startup, "command_s"))
                for name, each in startup["command_s"].items()
            ]
            + [
                (f"`greenbench run` to the first trial: {name}", _interval(each, " s"),
                 _bar(each, startup, "first_step_s"))
                for name, each in startup["first_step_s"].items()
            ],
        ),
        "startup_steps": _table(
            ("worker", *startup["steps_s"]["torch"]),
            [
                (f"`{backend}`", *(f"{each['median']:.2f} s" for each in steps.values()))
                for backend, steps in startup["steps_s"].items()
            ],
        ),
        "startup_imports": _table(
            ("process", "package", "its own modules", "with what they import"),
            [
                (process, f"`{each['package']}`", f"{each['own_ms']} ms", f"{each['whole_ms']} ms")
                for process, packages in startup["imports"].items()
                for each in packages[:5]
            ],
        ),
        "sweep_trials": f"{sweep['trials']} trials of {sweep['epochs']} epochs",
        "sweep_bare": _interval(sweep["bare_s"], " s"),
        **{
            f"sweep_{name}": _interval(sweep[f"{name}_share"], "%", 100.0)
            for name in ("overhead", "control", "harness", "logging", "mlflow", "session")
        },
        "sweep_overhead_bar": _met(sweep["overhead_share"], bars["overhead_share"]),
        "sweep_logging_s": _interval(sweep["logging_s"], " s"),
        "sweep_logging_bar": _met(sweep["logging_s"], bars["logging_s"]),
        "sweep_mlflow_s": _interval(sweep["mlflow_s"], " s"),
        "sweep_first_logging": f"{sweep['first_logging_s']:.1f} s",
        "sweep_memory": _table(
            ("data set", "worker", "bare script", "ratio", "bar"),
            [
                (name, _interval(each["worker_mib"], " MiB"), _interval(each["bare_mib"], " MiB"),
                 _interval(each["ratio"], ""), _met(each["ratio"], bars["memory_ratio"]))
                for name, each in sweep["memory"].items()
            ],
        ),
        "sweep_growth": _interval(sweep["growth_mib"], " MiB", digits=4),
    }  # fmt: skip


def _bar(found: dict[str, Any], startup: dict[str, Any], name: str) -> str:
    return f"{startup['bars'][name]:g} s: {_met(found, startup['bars'][name])}"


def _met(found: dict[str, Any], bar: float) -> str:
    return "met" if found["median"] <= bar else "missed"


def _interval(found: dict[str, Any], unit: str, scale: float = 1.0, digits: int = 2) -> str:
    middle, low, high = (
        "unknown" if found[name] is None else f"{scale * found[name]:.{digits}f}" for name in BODY
    )
    return f"{middle}{unit} [{low}, {high}], n = {found['n']}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
