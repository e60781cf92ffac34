"""`greenbench check`: whether parts work together, in the process of the command."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenbench import registry
from greenbench.cli import cli

PARTS = """
import greenbench
from greenbench import register_architecture, register_training
from greenbench.architectures import native

@register_architecture("tried_narrow")
@native("torch")
def tried_narrow(image_shape, classes):
    import torch
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(63, classes))

@register_training("tried_fair")
def tried_fair(run, width=1):
    for epoch in run.epochs():
        yield run.report(loss=1.0, score=0.25 * width)
    run.final(0.5)

@register_training("tried_unseeded")
def tried_unseeded(run):
    import time
    for epoch in run.epochs():
        yield run.report(score=time.perf_counter() % 1)

@register_training("tried_forgetful")
def tried_forgetful(run):
    for epoch in run.epochs():
        yield run.report(loss=0.5)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "parts_to_check.py").write_text(PARTS)
    return folder


@pytest.fixture
def check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    monkeypatch.chdir(folder)
    before = {origin.owner for origin in registry.architectures.origins()}

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["check", "-p", "parts_to_check.py", *arguments])

    yield run
    new = {origin.owner for origin in registry.architectures.origins()} - before
    registry.architectures.forget(new)
    for name in new:
        sys.modules.pop(name, None)


def test_a_network_is_trained_on_one_batch(check: Callable[..., Result]) -> None:
    done = check("-a", "simple_cnn.xs")
    assert done.exit_code == 0, done.output
    assert "default-simple_cnn.xs-torch-digits: a batch of 64 in " in done.output
    assert "3,299 parameters" in done.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-a", "tried_narrow"], "architecture 'tried_narrow' failed: RuntimeError: "),
        (["-a", "tried_forgetful"], "tried_forgetful"),
        (
            ["-a", "tried_fair", "--set", "depth=1"],
            "unknown option of tried_fair 'depth'; did you mean width?",
        ),
        (["-a", "tried_fair", "-b", "torch"], "training 'tried_fair' brings its own"),
    ],
)
def test_what_does_not_work_is_one_line(
    check: Callable[..., Result], arguments: list[str], expected: str
) -> None:
    done = check(*arguments)
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1), done.output
    assert expected in done.output


def test_seeds_of_a_training_are_tried(check: Callable[..., Result]) -> None:
    assert "comes to the same with the same seed" in check("-a", "tried_fair", "--seeds").output
    assert "does not come to the same" in check("-a", "tried_unseeded", "--seeds").output
