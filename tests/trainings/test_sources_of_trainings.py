"""The code of a training: results of two codes are not put together."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenbench.errors import ChangedError, ConfigurationError
from greenbench.selection import Selection
from greenbench.trainings import Report, Run
from tests.trainings.own_search import NAME, OwnSearch

PRINTED = """
import mine
from greenbench import registry
from greenbench.trainings.source import source_of
print(source_of(registry.architectures.get("mine").training))
"""


def train(run: Run) -> Iterator[Report]:
    for _ in run.epochs():
        run["learning_rate"]
        yield run.report(score=0.5)


def digest(folder: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", PRINTED], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def test_digest_is_that_of_the_file_and_what_it_imports(tmp_path: Path) -> None:
    mine, helper = tmp_path / "mine.py", tmp_path / "helper.py"
    mine.write_text(
        "import greenbench\nimport helper\n"
        "@greenbench.register_training('mine')\ndef mine(run):\n    return helper.SCORE\n"
    )
    helper.write_text("SCORE = 0.5\n")
    before = digest(tmp_path)
    assert before == digest(tmp_path)
    helper.write_text("SCORE = 0.6\n")
    assert digest(tmp_path) != before


def test_repeat_does_not_go_on_with_another_code(
    search: OwnSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def source(digest: str) -> None:
        monkeypatch.setattr("greenbench.search.own_subject.source_of", lambda training: digest)

    source("before")
    result = search(train)
    assert result.training_source == "before"
    journal = search.journal(result.case)
    lines = journal.path.read_text().splitlines(keepends=True)
    journal.path.write_text("".join(lines[:2]))
    source("after")
    with pytest.raises(ChangedError, match=r"source of the training \(before, now after\) changed"):
        search(train)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"backends": ["torch"]}, "-b (--backend) is 'torch'"),
        ({"datasets": ["digits"]}, "-d (--dataset) is 'digits'"),
        ({"dataset_options": {"side": 8}}, "--data is side=8"),
        ({"budget": {"optimizer": "adam"}}, "--optimizer is 'adam'"),
        ({"budget": {"backend_options": (("amp", True),)}}, "--compute is amp=True"),
        ({"budget": {"validate_every": 2}}, "--validate-every is 2"),
    ],
)
def test_what_a_training_decides_is_refused_by_its_flag(
    search: OwnSearch, asked: dict[str, object], said: str
) -> None:
    search(train, trials=1)
    with pytest.raises(ConfigurationError) as raised:
        Selection(networks=[NAME], **asked).cases()  # type: ignore[arg-type]
    assert str(raised.value) == f"{said}, but training {NAME!r} brings its own; leave it out"
