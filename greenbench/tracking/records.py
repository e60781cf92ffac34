"""Records: what MLflow is told of a result, as texts and metrics over steps."""

import hashlib
import re
from collections.abc import Iterator, Mapping

from greenbench.results import CaseResult, Trial
from greenbench.results.chronology import chronology
from greenbench.results.emissions import intensity_in_words
from greenbench.results.readings import JOULES_PER_WH
from greenbench.results.table import FURTHER_METRIC, METRICS, Row, to_trial_rows
from greenbench.tasks import ACCURACY, Score

MetricStep = tuple[str, float, int, int]
"""Name, value, time in ms since 1970-01-01 UTC, step."""
LONGEST_NAME = 250
"""Letters of a name that MLflow's tables have room for, of a run or of a metric."""
_REFUSED = re.compile(r"[^\w.\- /]")


def describe(result: CaseResult, row: Row) -> str:
    """Return the description of a run."""
    energy = "unknown energy" if row["energy_wh"] is None else f"{row['energy_wh']:.4g} Wh"
    label = result.account.total.provenance.label
    case = result.case
    reused = f" Reused from session {result.reused_from}." if result.reused_from else ""
    notes = f" Compute: {row['compute_notes']}." if row.get("compute_notes") else ""
    at = intensity_in_words(row["intensity_g_per_kwh"], row["emissions_source"])
    return (
        f"{case.strategy} search over {len(result.trials)} trials of {case.network} on "
        f"{case.dataset} with {case.backend}, repeat {result.repeat}: {energy} ({label}; "
        f"{row['energy_source']}). Emissions at {at}, {row['emissions_source']}.{notes}{reused}"
    )


def witness_metrics(result: CaseResult, end_ms: int) -> Iterator[MetricStep]:
    """Yield what further meters read, such as ``energy/zeus/gpu_wh``."""
    for meter, parts in result.account.total.judged.witnesses.items():
        for name, part in parts.items():
            if part.energy_j is not None:
                yield f"energy/{meter}/{name}_wh", part.energy_j / JOULES_PER_WH, end_ms, 0


def anytime(result: CaseResult) -> Iterator[MetricStep]:
    """Yield the best score so far and cumulative energy, a step a trial or segment, in time."""
    best, spent_wh, time_ms = None, 0.0, 0
    is_known = True
    for number, step in enumerate(chronology(to_trial_rows(result))):
        trial = result.trials[step.trial]
        end_s = trial.started_at + trial.account.total.duration_s
        # When a segment ended is not known: not before what came before it.
        time_ms = max(time_ms, int((trial.started_at if trial.segments else end_s) * 1000))
        is_known = is_known and step.energy_wh is not None
        spent_wh += step.energy_wh or 0.0
        found = step.val_score
        if found is not None and (best is None or result.score.is_better(found, best)):
            best = found
        if best is not None:
            yield "search/incumbent_validation", best, time_ms, number
        if is_known:
            yield "search/cumulative_wh", spent_wh, time_ms, number


def trial_metrics(trial: Trial, end_ms: int) -> Iterator[MetricStep]:
    """Yield what a whole trial cost."""
    booked = trial.account.phases
    figures = {f"energy/{phase}_wh": reading.energy_j for phase, reading in booked.items()}
    figures["energy/total_wh"] = trial.account.total.energy_j
    for name, joules in figures.items():
        if joules is not None:
            yield name, joules / JOULES_PER_WH, end_ms, 0
    total = trial.account.total
    yield "time/total_s", total.duration_s, end_ms, 0
    if total.cpu_s is not None:
        yield "cost/cpu_s", total.cpu_s, end_ms, 0
    if trial.samples_seen or not trial.epochs:
        # A training of somebody's own that was trained and tells none has not seen 0 of them.
        yield "cost/samples_seen", float(trial.samples_seen), end_ms, 0


def learning_curve(trial: Trial, score: Score, start_ms: int, end_ms: int) -> Iterator[MetricStep]:
    """Yield loss and validation score, a step an epoch, spread over the trial's time."""
    names = ["val_score", *(["val_accuracy"] if score.name == ACCURACY.name else [])]
    for epoch in trial.epochs:
        share = (epoch.epoch + 1) / len(trial.epochs)
        time_ms = start_ms + int(share * (end_ms - start_ms))
        if epoch.train_loss is not None:
            yield "loss/train", epoch.train_loss, time_ms, epoch.epoch
        if epoch.val_score is not None:
            for name in names:
                yield METRICS[name], epoch.val_score, time_ms, epoch.epoch
        for name, value in further(epoch.metrics).items():
            yield name, value, time_ms, epoch.epoch


def further(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what else was told, under names that MLflow takes: people's may have any letters.

    One that it refuses would cost the whole result. Whichever others there are, a name becomes the
    same one, and two never become one.
    """
    return {f"{FURTHER_METRIC}{_taken(name)}": value for name, value in metrics.items()}


def _taken(name: str) -> str:
    parts = [part.strip() for part in _REFUSED.sub("_", name).split("/")]
    path = "/".join("_" if part in ("", ".", "..") else part for part in parts)
    most = LONGEST_NAME - len(FURTHER_METRIC)
    if path == name and len(name) <= most and not name.endswith((".", " ")):
        return name
    told_apart = f"-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:6]}"
    return path[: most - len(told_apart)].rstrip("/. ") + told_apart
