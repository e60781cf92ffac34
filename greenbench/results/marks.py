"""Marks: what a reader must know of a sample before trusting its energy."""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from greenbench.registry import OWN
from greenbench.results.account import Account
from greenbench.results.gpus import (
    TrainedGpu,
    had_neighbours,
    is_shared,
    is_throttled,
    others_gpu_share,
)
from greenbench.results.quality import (
    DISAGREEMENT,
    DRIFT,
    SHARE,
    is_disturbed,
    was_suspended,
)
from greenbench.results.reconciliation import Reconciliation, meters_apart
from greenbench.results.result import CaseResult
from greenbench.results.uncertainty import SHORT_SHARE, is_short

SHORT_S = 10.0
"""Of a window that is long enough for any counter."""
FEW = 5
UNSTABLE_CV = 0.05
REPLAYING = ("replay", "tabular")
"""Meters that read what was recorded elsewhere."""

REPLAYED = "replayed"
UNTOLD = "untold"
DISTURBED = "disturbed"
DELAYED = "delayed"
SUSPENDED = "suspended"
DRIFTED = "drifted"
MIXED = "mixed"
HOT = "hot"
SHARED_HOST = "shared-host"
REUSED = "reused"
HOT_C = 5.0
"""By how much a card may be warmer or cooler, in °C, than before the family's other samples."""
LEFT_OUT = frozenset({DISTURBED, SUSPENDED})
"""Marks of samples whose energy and time count in no statistics, unless somebody asks."""
DOUBTFUL = frozenset(
    {DISTURBED, DELAYED, SUSPENDED, DRIFTED, MIXED, "throttled", "unreconciled", "disagreeing"}
)
"""Marks of samples that another measurement might not have, and so are never taken over."""
BUSY = frozenset({DISTURBED, DELAYED})
"""Marks of samples during which others used the machine."""
WITHOUT_TIME = LEFT_OUT | BUSY
"""Marks of samples whose time does not count."""

MEANINGS: Mapping[str, str] = {
    REPLAYED: "the energy is that of a replayed trace or recording, not of this machine",
    DISTURBED: (
        "something else used over 5% of the host's CPU time, or of the GPU that trained: such "
        "samples are left out of energy statistics (`--include-disturbed` counts them)"
    ),
    DELAYED: (
        "something else used over 5% of the host's CPU time, which is not in the energy, but makes "
        "the duration longer: such samples are left out of statistics of time"
    ),
    SUSPENDED: (
        "training was stopped for a while, or the machine slept: such samples are left out, too"
    ),
    "short": (
        f"a measured energy, in all or of a phase, is uncertain by over {SHORT_SHARE:.0%}, because "
        "few ticks of its counter fell into it: "
        f"`--min-window {SHORT_S:.0f}` repeats training inside its window"
    ),
    "unreconciled": (
        "the phases and one window around all of them differ by over 2% (counter) or 5% (model), "
        "and by more than ticks explain"
    ),
    "disagreeing": "two meters differ by over 5%, and by more than ticks explain",
    "incomplete": (
        "training FLOPs are unknown, because something ran that is in no formula of the counter"
    ),
    UNTOLD: (
        "training FLOPs are unknown, because the training does not tell them: "
        "`run.count(model, inputs)` counts them, `run.costs(…)` and the samples of `run.report(…)` "
        "tell them"
    ),
    "throttled": (
        "heat or its power supply held the GPU's clock down (`throttled_by` says what): cool it "
        "better, or pause between repeats with `--cool-down`"
    ),
    "shared": "a slice of a GPU (MIG) trained, and the counter is that of the whole card",
    SHARED_HOST: (
        "others measured on other GPUs of the host meanwhile: the GPU's own counter does not see "
        "them, and the sample counts, but they share its CPUs, memory and air"
    ),
    HOT: (
        f"before training, the GPU was over {HOT_C:.0f} °C warmer or cooler than before the "
        "family's other samples: `--cool-down` waits until it has cooled"
    ),
    DRIFTED: "idle power changed by over 5% from before the suite to after it",
    MIXED: (
        "trials or repeats of one run were made under different conditions (`--resume-anyway`): "
        "compare nothing with them; `--fresh` runs them anew"
    ),
    REUSED: (
        "taken over from an earlier run of the same case under the same conditions (`--reuse`), "
        "not measured in this one: it is no further sample beside the original"
    ),
    "unstable": "the energy of repeats varies by over 5% (the whole 95% interval of its CV does)",
    "few": f"fewer than {FEW} samples count: {FEW + 1} (`--repeats {FEW + 1}`) give an interval",
}
"""All marks, those of a sample and those of a case, and what they say."""


def marks_of(result: CaseResult) -> tuple[str, ...]:
    """Return the marks of one repeat of a case.

    Parameters
    ----------
    result : CaseResult
        What the repeat gave.
    """
    found = {
        **energy_marks(result.account, result.environment, result.gpus, result.reconciliation),
        "unreconciled": _is_unreconciled(result),
        "incomplete": result.costs.train_flops is None and not _is_untold(result),
        UNTOLD: _is_untold(result),
        MIXED: bool(result.mixed),
        REUSED: result.reused_from is not None,
    }
    return tuple(mark for mark in MEANINGS if found.get(mark))


def energy_marks(
    account: Account,
    environment: Mapping[str, str],
    gpus: Sequence[TrainedGpu],
    reconciliation: Reconciliation | None = None,
) -> dict[str, bool]:
    """Return which marks energies have for themselves, whatever was measured.

    Parameters
    ----------
    account : Account
        The energies.
    environment : mapping of str to str
        ``meter`` and ``cores``.
    gpus : sequence of TrainedGpu
        The cards that were read.
    reconciliation : Reconciliation, optional
        Of a repeat.
    """
    total = account.total
    apart = meters_apart(total, reconciliation, beyond_ticks=True)
    cores = int(environment.get("cores", 1))
    is_busy = is_disturbed(total.other_cpu_s, total.duration_s, cores)
    return {
        # The first of several meters counts.
        REPLAYED: environment.get("meter", "").partition(",")[0] in REPLAYING,
        DISTURBED: (is_busy and total.is_affected_by_others)
        or (others_gpu_share(gpus) or 0.0) > SHARE,
        DELAYED: is_busy and not total.is_affected_by_others,
        SUSPENDED: was_suspended(total),
        "short": is_short(account),
        "disagreeing": (apart or 0.0) > DISAGREEMENT,
        "throttled": is_throttled(gpus),
        "shared": is_shared(gpus),
        SHARED_HOST: had_neighbours(gpus),
    }


def _is_untold(result: CaseResult) -> bool:
    """Return whether nobody has counted: a training of somebody's own tells nothing of itself."""
    costs = result.costs
    return result.case.backend == OWN and costs.train_flops is None and not costs.uncounted


def is_drifted(idle_drift: float | None) -> bool:
    """Return whether idle power changed too much for net figures."""
    return idle_drift is not None and idle_drift > DRIFT


def join(marks: Iterable[str]) -> str | None:
    """Return marks as one text, such as ``"disturbed short"``; None without any."""
    return " ".join(marks) or None


def merge_marks(texts: Iterable[str | None]) -> str | None:
    """Return the marks of several texts as one, each mark once; None without any."""
    return join(dict.fromkeys(mark for text in texts for mark in (text or "").split()))


def add_mark(marks: str | None, mark: str) -> str:
    """Return a text of marks with another one."""
    return merge_marks([marks, mark]) or mark


def mark_drift(row: MutableMapping[str, Any], idle_drift: float | None) -> None:
    """Add to a sample's row by how much idle power changed during its suite."""
    row["idle_drift"] = idle_drift
    if is_drifted(idle_drift):
        row["marks"] = add_mark(row["marks"], DRIFTED)


def _is_unreconciled(result: CaseResult) -> bool:
    found = result.reconciliation
    if found is None or found.booked_j is None:
        return False
    # A check that could not be made is not one that was passed.
    return found.excess is None or found.excess > found.limit
