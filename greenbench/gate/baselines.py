"""Baselines: what cases cost before, read from files that `--update` writes, or from MLflow."""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenbench.cases.suites import GATE
from greenbench.compare.comparable import ENERGY, SCORES, check_agree, check_scores
from greenbench.compare.rows import measured_anew
from greenbench.errors import ConfigurationError, GateError
from greenbench.gate.metrics import METRICS
from greenbench.machine.files import replacing
from greenbench.machine.secrets import StoreUri
from greenbench.results.expected import LARGEST
from greenbench.results.readings import Provenance
from greenbench.results.scores import COLUMNS, OLDER_NAMES, score_of
from greenbench.settings import STORE_TIMEOUT_S
from greenbench.tasks import Score
from greenbench.tracking import Store

Row = Mapping[str, Any]

SCHEMA = 2
"""Since 2, samples have scores; before, all were accuracies, and were called so."""
READ = range(1, SCHEMA + 1)
FAILED = "failed"
FOLDER = Path("benchmarks/baselines")
PLAIN_NAME = re.compile(r"\w[\w .+-]{0,200}")

OF_CASE = (
    "case_hash", "host", "cpu", "device", "threads", "energy_provenance", "energy_scope",
    "meter", "cpu_tdp_w", "commit", *COLUMNS,
)  # fmt: skip
"""Texts that all samples of a case share."""

SAMPLES = ("repeat", "marks", "intensity_g_per_kwh", *(m.column for m in METRICS.values()))
"""Columns that have a value for each sample."""

MAY_BE_ABSENT = tuple(name for name in OF_CASE if name != "energy_provenance")
"""What results of an older greenbench lack."""


@dataclass(frozen=True)
class Baseline:
    """What is compared against.

    Attributes
    ----------
    label : str
        Where it came from, in words.
    rows : tuple of row
        Results, oldest first, as `greenbench.results.table.to_row` gives them, with ``session``.
    is_interleaved : bool
        Whether it was measured alternately with what is judged, in one session.
    update : str or None
        What makes it say what is judged now; None if nothing does.
    """

    label: str
    rows: tuple[Row, ...]
    is_interleaved: bool = False
    update: str | None = "`greenbench gate --update`"

    def of(self, case_id: str) -> list[Row]:
        """Return the results of a case."""
        return [row for row in self.rows if row["case_id"] == case_id]


def path_for(suite: str) -> Path:
    """Return where the baseline of a suite is kept, relative to the project.

    Raises
    ------
    ConfigurationError
        If the suite, which a file of results may say, would lead elsewhere.
    """
    if not PLAIN_NAME.fullmatch(suite):
        raise ConfigurationError(
            f"suite {suite!r} of these results is no name for a file in {FOLDER}; expected "
            "letters, digits, blanks and _ . + - alone; name a file with --baseline"
        )
    return FOLDER / f"{suite}.json"


def find_baseline(
    reference: str | None,
    rows: Sequence[Row],
    tracking_uri: StoreUri,
    timeout_s: float = STORE_TIMEOUT_S,
) -> Baseline | None:
    """Return the baseline that is asked for.

    Parameters
    ----------
    reference : str or None
        A path, ``run:ID`` or ``tag:NAME=TEXT``; None for the files of the suites that the results
        are of, as far as they exist.
    rows : sequence of row
        What is judged.
    tracking_uri : StoreUri
        Of the store.
    timeout_s : float
        Most seconds that one answer of it is waited for.

    Raises
    ------
    GreenbenchError
        If it cannot be read.
    """
    if reference is None:
        paths = [path_for(suite) for suite in sorted({str(row["suite"]) for row in rows})]
        return _joined([read_baseline(path) for path in paths if path.exists()])
    if reference.startswith(("run:", "tag:")):
        sessions = {row["session"] for row in rows}
        store = Store.existing(tracking_uri, timeout_s=timeout_s)
        return from_store(store, reference, without=sessions)
    return read_baseline(Path(reference))


def _joined(baselines: Sequence[Baseline]) -> Baseline | None:
    if not baselines:
        return None
    label = ", ".join(each.label for each in baselines)
    return Baseline(label, tuple(row for each in baselines for row in each.rows))


def from_store(store: Store, reference: str, *, without: Collection[str] = ()) -> Baseline:
    """Read results of the store as a baseline.

    Parameters
    ----------
    store : Store
        Of MLflow.
    reference : str
        ``run:ID`` for all results of the session that a run belongs to, or ``tag:NAME=TEXT`` for
        all results with a tag, such as ``tag:branch=main``.
    without : collection of str
        Sessions that don't count: what is judged is no baseline of itself.

    Raises
    ------
    ConfigurationError
        If the reference makes no sense, or nothing is found.
    """
    kind, _, text = reference.partition(":")
    name, equals, value = text.partition("=")
    if kind == "run":
        rows = store.read_rows()
        session = next((row["session"] for row in rows if row["run_id"] == text), None)
        rows = [row for row in rows if session and row["session"] == session]
    elif name and equals and "`" not in name and not {"'", '"'} <= set(value):
        # What the gate measured by itself may be of files that nobody committed.
        rows = [row for row in store.read_rows(tag=(name, value)) if row["suite"] != GATE]
    else:
        raise ConfigurationError(
            f"baseline {reference!r} names no tag; expected tag:NAME=TEXT, as in tag:branch=main"
        )
    rows, _ = measured_anew(rows)
    # What failed early was cheap.
    rows = [row for row in rows if row["session"] not in without and row["status"] != FAILED]
    if not rows:
        raise ConfigurationError(
            f"baseline {reference!r}: no other finished result in the store is of that {kind}"
        )
    sessions = len({row["session"] for row in rows})
    label = f"{reference} ({sessions} session{'' if sessions == 1 else 's'})"
    return Baseline(label, tuple(rows), update=None)


def read_baseline(path: Path) -> Baseline:
    """Read a baseline's file.

    Parameters
    ----------
    path : Path
        As `write_baseline` wrote it.

    Raises
    ------
    ConfigurationError
        If it cannot be read, is empty, damaged, or of a newer greenbench.
    """
    rows = [row for case_id, case in _read(path).items() for row in _rows(path, case_id, case)]
    return Baseline(str(path), tuple(rows))


def write_baseline(path: Path, rows: Iterable[Row], *, without: Collection[str] = ()) -> list[str]:
    """Write the results of some cases, and keep those of others that the file has.

    The file is replaced at once, so whoever reads it meanwhile, or finds it after a crash, has
    the old one or the new one.

    Parameters
    ----------
    path : Path
        Made with its folders if it does not exist.
    rows : iterable of row
        Results, as `greenbench.results.table.to_row` gives them.
    without : collection of str
        Cases that the file has, and is to have no more.

    Returns
    -------
    list of str
        The cases that were written.

    Raises
    ------
    ConfigurationError
        If the file is there, but is no baseline, or if a result is of a repeat that failed.
    NotComparableError
        If results of one case differ in host, meter or provenance.
    GateError
        If it cannot be written.
    """
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(str(row["case_id"]), []).append(row)
    known = _read(path) if path.exists() else {}
    kept = {name: case for name, case in known.items() if name not in without}
    written = {**kept, **{name: _to_case(name, members) for name, members in cases.items()}}
    # A line a case, so that version control shows which changed.
    lines = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in sorted(written.items())]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            text = f'{{"schema": {SCHEMA}, "cases": {{\n' + ",\n".join(lines) + "\n}}\n"
            file.write(text.encode())
    except OSError as error:
        raise GateError(
            f"baseline {path} cannot be written: {error.strerror or error}; nothing was changed"
        ) from error
    return list(cases)


def _to_case(case_id: str, rows: Sequence[Row]) -> dict[str, Any]:
    if failed := [row["repeat"] for row in rows if row.get("status") == FAILED]:
        raise ConfigurationError(
            f"no trial of repeat {failed[0]} of {case_id} completed, so it is no baseline; run it "
            "again, or leave it out with `--case`"
        )
    check_scores(rows)
    check_agree(case_id, rows, {"case_hash": "definition"})
    # What a meter could not read came about in no way.
    known = [row for row in rows if row.get("energy_wh") is not None] or rows
    check_agree(case_id, known, ENERGY)
    rows = sorted(rows, key=lambda row: row["repeat"])
    return {
        **{name: known[0].get(name) for name in OF_CASE},
        "samples": {name: [_known(row.get(name)) for row in rows] for name in SAMPLES},
    }


def _known(value: Any) -> Any:
    """Return a value; None for a number that is none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(path: Path) -> Mapping[str, Any]:
    try:
        # Editors on Windows begin a file with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"baseline {path} cannot be read: {reason}; `greenbench gate --update` writes one"
        ) from error
    if not text.strip():
        raise _damaged(path, "it is empty")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is no JSON ({error})") from error
    schema = found.get("schema") if isinstance(found, Mapping) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ConfigurationError(
            f"baseline {path} has schema {schema}, and this greenbench reads up to {SCHEMA}; "
            "update greenbench, or delete the file and run `greenbench gate --update`"
        )
    cases = found.get("cases") if isinstance(found, Mapping) else None
    if not (isinstance(schema, int) and schema in READ) or not isinstance(cases, Mapping):
        raise _damaged(path, f"expected a schema of {READ.start} to {SCHEMA} and cases")
    return cases


def _rows(path: Path, case_id: str, case: Any) -> list[Row]:
    samples = case.get("samples") if isinstance(case, Mapping) else None
    if not isinstance(samples, Mapping):
        raise _damaged(path, f"{case_id} has no samples")
    samples = {new: samples.get(old) for new, old in OLDER_NAMES.items()} | dict(samples)
    score = score_of(case)
    lists: dict[str, Any] = {name: samples.get(name) for name in SAMPLES}
    size = len(lists["repeat"]) if isinstance(lists["repeat"], list) else 0
    for name, values in lists.items():
        if not isinstance(values, list) or not size or len(values) != size:
            raise _damaged(path, f"{case_id} has no list of {size or 'some'} values as {name}")
        for value in values:
            if not _is_valid(name, value, score):
                raise _damaged(path, f"{name} of {case_id} is {value!r}")
    texts = {name: case.get(name) for name in OF_CASE}
    for name, text in texts.items():
        if not (isinstance(text, str) or (text is None and name in MAY_BE_ABSENT)):
            raise _damaged(path, f"{name} of {case_id} is {text!r}; expected a text")
    if texts["energy_provenance"] not in list(Provenance):
        raise _damaged(path, f"energy_provenance of {case_id} is {texts['energy_provenance']!r}")
    common = {"case_id": case_id, **texts, "session": str(path)}
    return [{**common, **{n: values[i] for n, values in lists.items()}} for i in range(size)]


def _is_valid(name: str, value: Any, score: Score) -> bool:
    if name == "marks":
        return value is None or isinstance(value, str)
    if name == "repeat":
        return isinstance(value, int) and not isinstance(value, bool)
    if value is None:
        return True
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    least, most = (score.low, score.high) if name in SCORES else (0.0, LARGEST)
    # Not true of nan.
    return is_number and least <= value <= most


def _damaged(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"baseline {path} is damaged: {what}; bring it back from version control, or delete it "
        "and run `greenbench gate --update`"
    )
