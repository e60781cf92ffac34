"""Cases that a baseline has and its suite no longer: nobody judges them, so somebody says so."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from greenbench.gate.baselines import Baseline

Row = Mapping[str, Any]


def gone_cases(
    baseline: Baseline | None, rows: Sequence[Row], suites: Mapping[str, Collection[str]]
) -> list[str]:
    """Return the cases of a baseline that neither some results nor their suites have.

    Parameters
    ----------
    baseline : Baseline or None
        What is compared with.
    rows : sequence of row
        The results.
    suites : mapping of str to collection of str
        The ids of the cases that suites have now. Of a suite that is not in it, nobody knows
        which cases it has, so none of them is gone.
    """
    wanted = {str(row["suite"]) for row in rows}
    if baseline is None or not wanted or not wanted <= suites.keys():
        return []
    present = {str(row["case_id"]) for row in rows}.union(*(suites[name] for name in wanted))
    # A file is of the suites that are judged; what the store has, says its suite.
    ids = [row["case_id"] for row in baseline.rows if row.get("suite") in {None, *wanted}]
    return [str(name) for name in dict.fromkeys(ids) if name not in present]


def gone_note(cases: Sequence[str], suites: Iterable[str], baseline: Baseline) -> str:
    """Return a line that names cases which are gone, and what drops them from the baseline.

    Parameters
    ----------
    cases : sequence of str
        As of `gone_cases`.
    suites : iterable of str
        Which have them no more.
    baseline : Baseline
        Which has them.
    """
    named, several = ", ".join(cases), len(cases) > 1
    said = (
        f"{named} of the baseline {'are' if several else 'is'} neither among these results nor in "
        f"{' or '.join(sorted(set(suites)))}, and so not judged: removed, renamed or not run"
    )
    drop = f"; `greenbench gate --update --prune` drops {'them' if several else 'it'}"
    return said + (drop if baseline.update else "")
