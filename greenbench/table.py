"""The table that comparers read: a result as one flat row, and how MLflow names its columns."""

from collections.abc import Mapping
from typing import Any

from greenbench.results import JOULES_PER_WH, PHASES, CaseResult, TrialStatus

Row = dict[str, Any]

METRICS: Mapping[str, str] = {
    "energy_wh": "energy/total_wh",
    **{f"{phase}_wh": f"energy/{phase}_wh" for phase in PHASES},
    **{f"{part}_wh": f"energy/{part}_wh" for part in ("cpu", "gpu", "ram")},
    "emissions_g": "emissions/g_co2e",
    "intensity_g_per_kwh": "emissions/intensity_g_per_kwh",
    "val_accuracy": "accuracy/validation",
    "test_accuracy": "accuracy/test",
    "train_flops": "cost/train_flops",
    "train_flops_per_sample": "cost/train_flops_per_sample",
    "parameters": "cost/parameters",
    "samples_seen": "cost/samples_seen",
    "epochs": "cost/epochs",
    "trials": "cost/trials",
    "failed_trials": "cost/failed_trials",
    "interruptions": "cost/interruptions",
    "duration_s": "time/total_s",
    "wall_s": "time/wall_s",
    "train_s": "time/train_s",
}
"""Numeric columns, and the metrics that hold them in MLflow."""

TAGS = (
    "case_id",
    "case_hash",
    "suite",
    "strategy",
    "architecture",
    "family",
    "size",
    "backend",
    "dataset",
    "setting",
    "energy_provenance",
    "energy_source",
    "emissions_source",
    "host",
    "status",
)
"""Text columns, each a tag of the same name in MLflow."""


def to_row(result: CaseResult) -> Row:
    """Return a result as one row; None where a figure is unknown.

    Parameters
    ----------
    result : CaseResult
        One repeat of a case.

    Returns
    -------
    dict
        The columns of `METRICS` and `TAGS`, and ``repeat``.
    """
    return {**_texts(result), **_numbers(result), "repeat": result.repeat}


def _numbers(result: CaseResult) -> Row:
    account, costs, incumbent = result.account, result.costs, result.incumbent
    total = account.total
    parts = {
        f"{name}_wh": _to_wh(total.components[name].energy_j if name in total.components else None)
        for name in ("cpu", "gpu", "ram")
    }
    # A phase that nobody booked to is absent, not 0: idle power, say, was not looked at.
    phases = {
        f"{phase}_wh": _to_wh(account.energy_j(phase)) if phase in account.phases else None
        for phase in PHASES
    }
    train = account.phases.get("train")
    return {
        "energy_wh": _to_wh(total.energy_j),
        **phases,
        **parts,
        "emissions_g": result.emissions["g_co2e"],
        "intensity_g_per_kwh": result.emissions["intensity_g_per_kwh"],
        "val_accuracy": incumbent.val_accuracy if incumbent else None,
        "test_accuracy": result.test_accuracy,
        "train_flops": costs.train_flops,
        "train_flops_per_sample": costs.train_flops_per_sample,
        "parameters": costs.parameters,
        "samples_seen": costs.samples_seen,
        "epochs": costs.epochs,
        "trials": costs.trials,
        "failed_trials": sum(t.status is not TrialStatus.COMPLETED for t in result.trials),
        "interruptions": result.interruptions,
        "duration_s": total.duration_s,
        "wall_s": result.wall_s,
        "train_s": train.duration_s if train else 0.0,
    }


def _texts(result: CaseResult) -> Row:
    case, total = result.case, result.account.total
    return {
        "case_id": case.id,
        "case_hash": case.hash,
        "suite": result.suite,
        "strategy": case.strategy,
        "architecture": case.network,
        "family": case.architecture,
        "size": case.size,
        "backend": case.backend,
        "dataset": case.dataset,
        "setting": case.setting,
        "energy_provenance": total.provenance.value,
        "energy_source": "; ".join(dict.fromkeys(part.source for part in total.headline)),
        "emissions_source": result.emissions["source"],
        "host": result.environment["host"],
        "status": "finished" if result.incumbent else "failed",
    }


def _to_wh(joules: float | None) -> float | None:
    return None if joules is None else joules / JOULES_PER_WH
