"""Texts: what is a token, what is a sample, and where one split ends."""

import re
from typing import Any

import numpy as np
import pytest

from greenbench.datasets import LoadContext
from greenbench.datasets.text import load_text
from greenbench.errors import DatasetError

TEXT = "".join(chr(ord("a") + number % 23) for number in range(1000))


@pytest.fixture
def written(context: LoadContext) -> LoadContext:
    context.data_dir.mkdir()
    (context.data_dir / "x.txt").write_text(TEXT[:-3] + "äß\n", encoding="utf-8")
    return context


def test_splits_follow_each_other_in_the_text(written: LoadContext) -> None:
    dataset = load_text(written, path="x.txt", context=10)
    dataset.check()
    for split, start in ((dataset.train, 0), (dataset.validation, 800), (dataset.test, 900)):
        shown = "".join(chr(ord("a") + token) for token in split.inputs.ravel().tolist())
        assert shown == TEXT[start : start + len(shown)]
    assert [len(split) for split in dataset.splits.values()] == [79, 9, 9]


def test_target_is_the_next_token(written: LoadContext) -> None:
    train = load_text(written, path="x.txt", context=10).train
    assert np.array_equal(train.targets[:, :-1], train.inputs[:, 1:])
    assert np.array_equal(train.targets[:-1, -1], train.inputs[1:, 0])


def test_vocabulary_is_that_of_the_training_part(written: LoadContext) -> None:
    dataset = load_text(written, path="x.txt", context=9)
    assert (dataset.vocabulary, dataset.classes) == (24, 24)
    assert dataset.train.inputs.max() == 22
    assert dataset.test.targets.max() == 23
    assert dataset.notes[1] == "3 unknown characters in the other parts"


def test_bytes_are_256_tokens(written: LoadContext) -> None:
    dataset = load_text(written, path="x.txt", unit="bytes", context=10)
    dataset.check()
    assert dataset.vocabulary == 256
    assert bytes(dataset.train.inputs[0].tolist()).decode() == TEXT[:10]


def test_without_a_file_there_is_python_documentation(context: LoadContext) -> None:
    dataset = load_text(context)
    dataset.check()
    assert dataset.train.inputs.size > 300_000
    assert "documentation (pydoc_data.topics)" in dataset.source


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "y\0.txt"}, "cannot be read (embedded null byte); give the path of a text file"),
        ({"path": "y.txt"}, "y.txt cannot be read (No such file or directory); give the path"),
        ({"path": 3}, "path is 3; expected a file's name"),
        ({"path": "latin.txt"}, "latin.txt is not UTF-8 (byte 4); give unit=bytes, or convert it"),
        ({"path": "x.txt", "context": 100}, "1000 characters; expected more than 1010"),
        ({"context": 0}, "context is 0; expected a whole number above 0"),
        ({"limit": 2.5}, "limit is 2.5; expected a whole number above 0"),
        ({"unit": "words"}, "unit is 'words'; expected characters or bytes"),
    ],
)
def test_what_is_wrong_is_one_line(written: LoadContext, options: Any, said: str) -> None:
    (written.data_dir / "latin.txt").write_bytes("Straße".encode("latin-1"))
    with pytest.raises(DatasetError, match=re.escape(said)):
        load_text(written, **options)
