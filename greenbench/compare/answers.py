"""Answers for other programs: their fields as JSON, their rows as CSV, under one rule for scores.

A figure of the score is under a name with the word ``score``; where the score is accuracy it is
there again with ``accuracy`` in its place, as it was called before there were other scores.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from greenbench.results.scores import columns_of
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import is_share

WORD, OLDER = "score", "accuracy"
NAMES = {"score": "score_name"}
"""What is called otherwise in rows of figures, of which ``score`` is one."""
GAIN, POINTS = "gain_per_wh", "points_per_wh"
JUDGED_BY = "judged_by"


def to_json(answer: Any) -> dict[str, Any]:
    """Return the sentence and the fields of an answer; see the rule above.

    Parameters
    ----------
    answer : dataclass
        With a ``sentence``, and what its figures are ``judged_by``.
    """
    score = getattr(answer, JUDGED_BY, None)
    found = {"sentence": answer.sentence, **dataclasses.asdict(answer)}
    return {name: _with_older(value, score) for name, value in _named(found, score).items()}


def to_records(answer: Any) -> list[dict[str, Any]]:
    """Return the rows of an answer; see the rule above."""
    usual = getattr(answer, JUDGED_BY, None)
    return [_record(dict(record), usual) for record in answer.records()]


def _record(record: dict[str, Any], usual: Score | None) -> dict[str, Any]:
    """Return a row with the columns that tell what its scores are."""
    score = record.pop(JUDGED_BY, usual)
    told = columns_of(score) if score else {}
    return {**_named(record, score), **{NAMES.get(name, name): told[name] for name in told}}


def _with_older(value: Any, score: Score | None) -> Any:
    if isinstance(value, Mapping):
        if "higher_is_better" in value:
            return Score(**value).to_dict()
        if isinstance(own := value.get(JUDGED_BY), Mapping):
            score = Score(**own)
        return {name: _with_older(each, score) for name, each in _named(value, score).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_with_older(each, score) for each in value]
    return value


def _named(values: Mapping[str, Any], score: Score | None) -> dict[str, Any]:
    """Return values with those again that had other names while all scores were accuracies."""
    found = dict(values)
    if score is not None and is_share(score) and GAIN in found:
        found[POINTS] = found[GAIN]
    if score is None or score.name == ACCURACY.name:
        for name, value in values.items():
            parts = name.split("_")
            if WORD in parts and name != JUDGED_BY:
                found["_".join(OLDER if part == WORD else part for part in parts)] = value
    return found
