"""The tables that comparers read: results and trials as flat rows, and MLflow's names for them."""

import json
from collections.abc import Mapping
from typing import Any

from greenbench.results import CaseResult, Trial, TrialStatus
from greenbench.results.account import PHASES, Account
from greenbench.results.chronology import proposal_wh, spending, to_text
from greenbench.results.gpus import state_figures, throttled_by
from greenbench.results.looks import Look
from greenbench.results.marks import join, marks_of
from greenbench.results.quality import net_j, others_share
from greenbench.results.readings import JOULES_PER_WH, Reading
from greenbench.results.reconciliation import meters_apart
from greenbench.results.scope import PARTS
from greenbench.results.scores import columns_of, optimism_of, with_older_names
from greenbench.results.winner import winner_columns

Row = dict[str, Any]

BYTES_PER_MIB = 2**20
ENDED_WELL = (TrialStatus.COMPLETED, TrialStatus.STOPPED)

METRICS: Mapping[str, str] = {
    "energy_wh": "energy/total_wh",
    "uncertainty_wh": "energy/uncertainty_wh",
    **{f"{phase}_wh": f"energy/{phase}_wh" for phase in PHASES},
    **{f"{part}_wh": f"energy/{part}_wh" for part in PARTS},
    "net_wh": "energy/net_wh",
    **{f"{part}_net_wh": f"energy/{part}_net_wh" for part in PARTS},
    "idle_w": "power/idle_w",
    "control_j": "control/energy_j",
    "control_s": "control/cpu_s",
    "emissions_g": "emissions/g_co2e",
    "intensity_g_per_kwh": "emissions/intensity_g_per_kwh",
    "val_score": "score/validation",
    "test_score": "score/test",
    "test_samples": "score/test_samples",
    "val_accuracy": "accuracy/validation",
    "test_accuracy": "accuracy/test",
    "train_flops": "cost/train_flops",
    "train_flops_per_sample": "cost/train_flops_per_sample",
    "parameters": "cost/parameters",
    "networks": "cost/networks",
    "samples_seen": "cost/samples_seen",
    "epochs": "cost/epochs",
    "trials": "cost/trials",
    "failed_trials": "cost/failed_trials",
    "stopped_trials": "cost/stopped_trials",
    "interruptions": "cost/interruptions",
    "cpu_s": "cost/cpu_s",
    "peak_memory_mib": "cost/peak_memory_mib",
    "duration_s": "time/total_s",
    "wall_s": "time/wall_s",
    "train_s": "time/train_s",
    "proposal_share": "search/proposal_share",
    "wasted_share": "search/wasted_share",
    "optimism": "search/optimism",
    "other_cpu_share": "quality/other_cpu_share",
    "stopped_s": "quality/stopped_s",
    "unreconciled_share": "quality/unreconciled_share",
    "meter_disagreement": "quality/meter_disagreement",
    "idle_drift": "quality/idle_drift",
    "passes": "quality/passes",
    "look": "design/look",
    "alpha_spent": "design/alpha_spent",
    "gpu_temperature_c": "gpu/temperature_c",
    "gpu_temperature_before_c": "gpu/temperature_before_c",
    "gpu_sm_clock_mhz": "gpu/sm_clock_mhz",
    "gpu_sm_clock_before_mhz": "gpu/sm_clock_before_mhz",
    "gpu_power_limit_w": "gpu/power_limit_w",
    "gpu_power_limit_before_w": "gpu/power_limit_before_w",
    "gpu_others_share": "quality/gpu_others_share",
}
"""Numeric columns, and the metrics that hold them in MLflow."""
FURTHER, FURTHER_METRIC = "metric_", "metrics/"
"""What further metrics of the task have before their names, as columns and in MLflow."""

TAGS = (
    "case_id",
    "case_hash",
    "suite",
    "strategy",
    "proposer",
    "scheduler",
    "prior",
    "architecture",
    "family",
    "size",
    "options",
    "backend",
    "dataset",
    "data_content",
    "training_source",
    "split_seed",
    "setting",
    "space",
    "task",
    "score",
    "score_unit",
    "score_direction",
    "score_range",
    "optimizer",
    "schedule",
    "incumbent_trial",
    "hyperparameters",
    "data_notes",
    "compute_notes",
    "energy_provenance",
    "energy_scope",
    "energy_source",
    "energy_reason",
    *(f"{part}_provenance" for part in PARTS),
    "meter",
    "cpu_tdp_w",
    "marks",
    "uncounted",
    "throttled_by",
    "emissions_source",
    "host",
    "cpu",
    "device",
    "threads",
    "devices",
    "commit",
    "branch",
    "design",
    "conditions",
    "reused_from",
    "status",
)
"""Columns that are no figures, each a tag of the same name in MLflow: texts, but for `WHOLE`."""
OF_RESULT = (
    "suite", "prior", "training_source", "split_seed", "task", "design", "conditions", "reused_from"
)  # fmt: skip
"""Tags that a result says as they are."""
WHOLE = ("split_seed", "devices")
"""Tags that are whole numbers."""

OF_CASE = (
    "case_id", "case_hash", "suite", "strategy", "prior", "architecture", "family", "size",
    "backend", "dataset", "data_content", "training_source", "split_seed", "setting", "task",
    "score", "score_unit", "score_direction", "score_range", "optimizer", "schedule",
    "energy_provenance", "energy_scope", "meter", "cpu_tdp_w", "marks", "host", "threads",
    "devices", "design",
)  # fmt: skip
"""Columns that a trial's row has from its repeat's, as well as ``repeat``."""


def to_row(result: CaseResult) -> Row:
    """Return a result as one row; None where a figure is unknown.

    Parameters
    ----------
    result : CaseResult
        One repeat of a case.

    Returns
    -------
    dict
        The columns of `METRICS` and `TAGS`, one for each further metric of the task
        (``metric_NAME``), and ``repeat``.
    """
    further = {f"{FURTHER}{name}": value for name, value in result.metrics.items()}
    row = {**_texts(result), **_numbers(result), **further, "repeat": result.repeat}
    return with_older_names(row)


def to_trial_rows(result: CaseResult) -> list[Row]:
    """Return the trials of a result, a row each, in the order in which they ran.

    Parameters
    ----------
    result : CaseResult
        One repeat of a case.

    Returns
    -------
    list of dict
        The columns of `OF_CASE` and ``repeat``; ``trial`` (its index), ``status``,
        ``energy_wh``, ``search_wh`` (of its proposal), ``duration_s``, ``val_score``,
        ``segments`` (see `greenbench.results.chronology`), ``reevaluates`` (another's index),
        ``lanes`` (trials that shared its windows, itself among them), ``optimism``,
        ``test_score`` and ``repeat_uncertainty_wh`` (of the whole repeat); None where a figure is
        unknown; scores that are accuracies as ``val_accuracy`` and ``test_accuracy``, too.
    """
    texts = _texts(result)
    common = {name: texts[name] for name in OF_CASE}
    common |= {"repeat": result.repeat, "look": result.look}
    optimism = _optimism(result)
    rows = [
        {
            **common,
            "trial": trial.index,
            "status": trial.status.value,
            "energy_wh": _to_wh(trial.account.total.energy_j),
            "search_wh": proposal_wh(
                _to_wh(trial.account.total.energy_j),
                _to_wh(search.energy_j if (search := trial.account.phases.get("search")) else None),
                trial.reevaluates,
            ),
            "duration_s": trial.account.total.duration_s,
            "val_score": trial.val_score,
            "segments": segments_text(trial),
            "reevaluates": trial.reevaluates,
            "lanes": trial.lanes,
            "optimism": optimism,
            "test_score": result.test_score,
            "repeat_uncertainty_wh": _to_wh(result.account.total.judged.uncertainty_j),
        }
        for trial in result.trials
    ]
    return [with_older_names(row) for row in rows]


def segments_text(trial: Trial) -> str | None:
    """Return the segments of a trial as one text; None if it has none."""
    return to_text(
        [
            (each.position, each.epochs, _to_wh(each.account.total.energy_j), each.val_score)
            for each in trial.segments
        ]
    )


def _numbers(result: CaseResult) -> Row:
    costs, incumbent, total = result.costs, result.incumbent, result.account.total
    train = result.account.phases.get("train")
    return {
        **_energies(result),
        "control_j": result.control_j,
        "control_s": result.control_s,
        "emissions_g": result.emissions["g_co2e"],
        "intensity_g_per_kwh": result.emissions["intensity_g_per_kwh"],
        "val_score": incumbent.val_score if incumbent else None,
        "test_score": result.test_score,
        "test_samples": result.dataset.get("test"),
        "train_flops": costs.train_flops,
        "train_flops_per_sample": costs.train_flops_per_sample,
        "parameters": costs.parameters,
        "networks": costs.networks,
        "samples_seen": costs.samples_seen,
        "epochs": costs.epochs,
        "trials": costs.trials,
        "failed_trials": sum(t.status not in ENDED_WELL for t in result.trials),
        "stopped_trials": sum(t.status is TrialStatus.STOPPED for t in result.trials),
        "interruptions": result.interruptions,
        "cpu_s": total.cpu_s,
        "peak_memory_mib": _scaled(result.peak_memory_bytes, BYTES_PER_MIB),
        "duration_s": total.duration_s,
        "wall_s": result.wall_s,
        "train_s": train.duration_s if train else 0.0,
        **_spending(result),
        "optimism": _optimism(result),
        **_qualities(result),
        "look": result.look,
        "alpha_spent": Look(result.look, result.design).spent,
        **state_figures(result.gpus),
    }


def _spending(result: CaseResult) -> Row:
    found = vars(spending(to_trial_rows(result)))
    if found["proposal_share"] is None:
        # Proposals that are too short to be read one by one may be read as one.
        accounts = [trial.account for trial in result.trials]
        asked = [each.phases["search"] for each in accounts if "search" in each.phases]
        asked_j = sum(asked, Reading(0.0)).energy_j
        total_j = sum(accounts, Account()).total.energy_j
        if asked_j is not None and total_j:
            found = {**found, "proposal_share": asked_j / total_j}
    return found


def _optimism(result: CaseResult) -> float | None:
    val_score = result.incumbent.val_score if result.incumbent else None
    return optimism_of(val_score, result.test_score, result.score)


def _energies(result: CaseResult) -> Row:
    account, idle_w = result.account, result.idle_w
    total = account.total.judged
    joules = {name: part.energy_j for name, part in total.components.items()}
    # A phase that nobody booked to is absent, not 0.
    phases = {
        f"{phase}_wh": _to_wh(account.energy_j(phase)) if phase in account.phases else None
        for phase in PHASES
    }
    return {
        "energy_wh": _to_wh(total.energy_j),
        "uncertainty_wh": _to_wh(total.uncertainty_j),
        **phases,
        **{f"{name}_wh": _to_wh(joules.get(name)) for name in PARTS},
        "net_wh": _to_wh(net_j(total, idle_w)),
        **{f"{name}_net_wh": _to_wh(net_j(_only(total, name), idle_w)) for name in PARTS},
        "idle_w": sum(idle_w.values()) if idle_w else None,
    }


def _only(total: Reading, name: str) -> Reading:
    own = {part: found for part, found in total.components.items() if part == name}
    return Reading(total.duration_s, own)


def _qualities(result: CaseResult) -> Row:
    total, reconciliation = result.account.total, result.reconciliation
    cores = int(result.environment.get("cores", 1))
    return {
        "other_cpu_share": others_share(total.other_cpu_s, total.duration_s, cores),
        "stopped_s": total.stopped_s,
        "unreconciled_share": reconciliation.deviation if reconciliation else None,
        "meter_disagreement": meters_apart(total, reconciliation),
        # Known once the whole suite has run.
        "idle_drift": None,
        "passes": max((trial.passes for trial in result.trials), default=1),
    }


def _texts(result: CaseResult) -> Row:
    case = result.case
    return {
        "case_id": case.id,
        "case_hash": case.hash,
        **{name: getattr(result, name) for name in OF_RESULT},
        "strategy": case.strategy,
        "proposer": case.proposer,
        "scheduler": case.scheduler,
        "architecture": case.network,
        "family": case.architecture,
        "size": case.size,
        "options": json.dumps(dict(case.architecture_options), sort_keys=True),
        "backend": case.backend_variant,
        "dataset": case.dataset,
        "data_content": result.dataset.get("content"),
        "setting": case.setting,
        "space": case.space,
        **columns_of(result.score),
        "optimizer": case.optimizer_variant,
        "schedule": case.schedule_variant,
        **winner_columns(result.incumbent),
        "data_notes": _data_notes(result.dataset),
        "compute_notes": "; ".join(result.compute_notes) or None,
        **_energy_texts(result.account.total.judged),
        "meter": result.environment.get("meter"),
        "cpu_tdp_w": result.environment.get("cpu_tdp_w"),
        "marks": join(marks_of(result)),
        "uncounted": ", ".join(result.costs.uncounted) or None,
        "throttled_by": ", ".join(throttled_by(result.gpus) or ()) or None,
        "emissions_source": result.emissions["source"],
        "host": result.environment["host"],
        **{
            name: result.environment.get(name)
            for name in ("cpu", "device", "threads", "commit", "branch")
        },
        "devices": case.devices,
        "status": "finished" if result.incumbent else "failed",
    }


def _energy_texts(total: Reading) -> Row:
    """Return how the energy of a repeat came about."""
    parts = total.components
    return {
        "energy_provenance": total.provenance.value,
        "energy_scope": total.covers,
        "energy_source": "; ".join(dict.fromkeys(part.source for part in total.headline)),
        "energy_reason": next((part.reason for part in total.headline if part.reason), None),
        **{
            f"{name}_provenance": parts[name].provenance.value if name in parts else None
            for name in PARTS
        },
    }


def _data_notes(dataset: Mapping[str, Any]) -> str | None:
    # Older results have none.
    notes = dataset.get("notes")
    return f"{dataset['source']}: {'; '.join(notes)}" if notes else None


def _to_wh(joules: float | None) -> float | None:
    return _scaled(joules, JOULES_PER_WH)


def _scaled(value: float | None, divisor: float) -> float | None:
    return None if value is None else value / divisor
