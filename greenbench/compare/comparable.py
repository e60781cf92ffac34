"""What must agree before figures are put side by side."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.registry import OWN
from greenbench.results.scope import scope_of
from greenbench.results.scores import range_of, score_of

Row = Mapping[str, Any]

ENERGY = {
    "energy_provenance": "energy provenance",
    "energy_scope": "energy scope",
    "meter": "meter",
    "cpu_tdp_w": "TDP of the CPU in W (GREENBENCH_CPU_TDP_W)",
    "host": "host",
    "threads": "threads",
}
"""Columns that energies of one comparison must agree in, and what they are called."""

TIME = {column: ENERGY[column] for column in ("host", "threads")}
"""The same of times."""

MOST_NAMED = 5

APART = ("dataset", "network", "model", "architecture", "backend")
"""What trials of one comparison must agree in, unless they are grouped by it."""

DEFINITION = {"setting": "setting", "case_hash": "definition"}
"""What the trials of a strategy must agree in."""

DEVICE = (
    "gpu", "gpus", "gpu_model", "gpu_name", "gpu_type", "gpu_count", "num_gpus", "n_gpus", "cpu",
    "cpu_model", "cpu_name", "cpu_count", "device", "device_name", "device_type", "accelerator",
    "hardware", "machine", "host", "hostname", "host_name", "node", "instance_type", "os",
    "power_limit_w", "threads", "num_threads", "meter", "tracking_mode", "pue",
    "energy_provenance", "energy_scope", "energy_source",
)  # fmt: skip
"""What columns of foreign tables are called in which energies of one comparison must agree."""

WORK = (
    "epochs", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs", "steps", "max_steps",
    "num_steps", "batch_size", "optimizer", "practice", "framework", "precision", "dtype", "amp",
    "mixed_precision", "quantization", "image_size", "resolution", "split", "subset", "parameters",
    "num_parameters", "n_parameters", "data_content",
)  # fmt: skip
"""What columns of foreign tables are called in which rows that are averaged must agree."""

UNRECORDED = {"threads": "1", "devices": "1"}
"""What older versions, which have no such column, took unless they were told otherwise."""

SCORED = {
    "score": "score",
    "score_unit": "unit of the score",
    "score_direction": "direction of the score",
}
"""Columns that scores of one comparison must agree in, and what they are called."""

SCORES = ("val_score", "test_score")
"""Columns of scores."""

WITHIN_CASE = {
    "parameters": "number of parameters",
    "train_flops_per_sample": "training FLOPs of a sample",
    "data_content": "content of the data set",
    "training_source": "source of the training",
}
"""Columns in which all results of one definition of a case agree, unless something is wrong."""

OF_NETWORK = ("parameters", "train_flops_per_sample")
"""Those that are the incumbent's where networks are searched, and another's in each repeat."""


def check_scores(rows: Iterable[Row]) -> None:
    """Refuse scores that are out of their range, such as accuracies that are no shares.

    Parameters
    ----------
    rows : iterable of mapping
        Results or trials, as `greenbench.results.table` gives them.

    Raises
    ------
    ConfigurationError
        If there is one; the message names the run, as far as it is known.
    """
    for row in rows:
        score = score_of(row)
        for column in SCORES:
            value = row.get(column)
            # Not true of nan.
            if value is not None and not (score.low <= value <= score.high and isfinite(value)):
                places = ("case_id", "session", "repeat", "run_id")
                place = ", ".join(f"{n} {row[n]}" for n in places if row.get(n) is not None)
                raise ConfigurationError(
                    f"{place or 'a row'}: {column} is {value!r}; expected {range_of(score)}: "
                    "select others with `--where`, or delete that run"
                )


def check_cases(rows: Iterable[Row]) -> None:
    """Refuse results of one definition of a case that cannot be of one case.

    Parameters
    ----------
    rows : iterable of mapping
        Results; what they don't say agrees with everything.

    Raises
    ------
    NotComparableError
        If there are such; the message names the case and both values.
    """
    first: dict[tuple[Any, str], Row] = {}
    for row in rows:
        for column, words in WITHIN_CASE.items():
            if row.get("case_hash") is None or row.get(column) is None:
                continue
            if row.get("networks") is not None and column in OF_NETWORK:
                continue
            known = first.setdefault((row["case_hash"], column), row)
            if known[column] != row[column]:
                raise NotComparableError(
                    f"{row.get('case_id')}: results of one definition differ in {words} "
                    f"({_shown(known[column])}, {_shown(row[column])}): the code or the data "
                    "behind its name changed; select one with "
                    f"`--where {column}={_shown(known[column])}`"
                )


def is_untested(row: Row) -> bool:
    """Return whether a training of somebody's own has found something, and not tested it."""
    is_own = row.get("backend") == OWN and row.get("status") == "finished"
    return is_own and row.get("test_score") is None


def check_tested(rows: Iterable[Row]) -> None:
    """Refuse results of trainings of somebody's own that tell no test score.

    Raises
    ------
    NotComparableError
        If there are such: a validation that has chosen the incumbent flatters it.
    """
    for row in rows:
        if is_untested(row):
            raise NotComparableError(
                f"{row.get('case_id')}: the training tells no test score to compare by; call "
                "run.final(score) after its epochs, and run it again"
            )


def _shown(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def check_agree(where: str, rows: Sequence[Row], columns: Mapping[str, str]) -> None:
    """Refuse rows that differ in one of several columns.

    Parameters
    ----------
    where : str
        What is compared, for the message.
    rows : sequence of mapping
        A column that a row lacks is taken as equal in all.
    columns : mapping of str to str
        Names of columns, and what a reader calls them.

    Raises
    ------
    NotComparableError
        If they differ; the message names in what, and how to select.
    """
    for column, words in columns.items():
        values = sorted({_shown(value_of(row, column)) for row in rows if _says(row, column)})
        if len(values) > 1:
            more = ", …" if len(values) > MOST_NAMED else ""
            raise NotComparableError(
                f"{where}: figures differ in {words} ({', '.join(values[:MOST_NAMED])}{more}) and "
                "are not averaged; "
                f"select one with `--where {shlex.quote(f'{column}={values[0]}')}`"
            )


def _says(row: Row, column: str) -> bool:
    # What an older version's row leaves out follows from its other columns.
    return column in row or value_of(row, column) not in (None, UNRECORDED.get(column))


def value_of(row: Row, column: str) -> Any:
    """Return the value of a column that must agree; of an older version's row, the usual one."""
    value = scope_of(row) if column == "energy_scope" else row.get(column)
    return UNRECORDED.get(column) if value is None else value


def check_apart(where: str, rows: Sequence[Row], group: Mapping[str, str]) -> None:
    """Refuse trials of one group that differ in what makes them another question."""
    for column in APART:
        values = sorted({str(row[column]) for row in rows if column in row})
        if len(values) > 1 and column not in group:
            raise NotComparableError(
                f"{where}: trials differ in {column} ({', '.join(values)}) and are not compared; "
                f"answer for each with `--group {column}`, or select one with "
                f"`--where {column}={values[0]}`"
            )


def check_definitions(where: str, rows: Sequence[Row], group: Mapping[str, str]) -> None:
    """Refuse what a group's setting made one: a strategy with several numbers of trials."""
    if "setting" in group:
        for name in sorted({str(row["strategy"]) for row in rows}):
            own = [row for row in rows if str(row["strategy"]) == name]
            check_agree(f"{where}: {name}", own, DEFINITION)
