"""What all repeats of a case in one run must share."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greenbench import registry
from greenbench.architectures import Flatten, Linear, ReLU, Spec
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.base import RawImages, make_dataset
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import ChangedError
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.results.table import to_row
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.testing import FakeClock, FakeMeter

STATE = {"light": 0, "is_drawn": False, "width": 8}
CASE = Case("random", "unsteady", dataset="unsteady", trials=2, epochs=1, batch_size=8)

Run = Callable[..., CaseResult]


@registry.register_dataset("unsteady")
def load(context: LoadContext) -> Dataset:
    """Load images that change when `STATE` does, or with each seed."""
    seed = context.seed if STATE["is_drawn"] else 0
    pixels = np.random.default_rng(seed).integers(0, 200, (40, 1, 4, 4)).astype(np.uint8)
    pool = RawImages(pixels + np.uint8(STATE["light"]), np.arange(40) % 2)
    return make_dataset("unsteady", "made up", pool, seed=context.seed)


@registry.register_architecture("unsteady")
def build(image_shape: tuple[int, int, int], classes: int) -> Spec:
    """Return a network that changes when `STATE` does."""
    layers = [Flatten(), Linear(STATE["width"]), ReLU(), Linear(classes)]
    return Spec("unsteady", image_shape, layers)


@pytest.fixture(scope="module")
def bench() -> Bench:
    clock = FakeClock()
    return Bench(
        backend=TorchBackend("torch", threads=1),
        meter=FakeMeter(clock),
        control=FakeMeter(clock),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here", "device": "cpu"},
        data_dir=Path(),
        emit=lambda event, values: None,
    )


@pytest.fixture
def run(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in dict(STATE).items():
        monkeypatch.setitem(STATE, name, value)

    def run(repeat: int, **changes: Any) -> CaseResult:
        journal = Journal.of(tmp_path, CASE, repeat)
        return run_repeat(replace(bench, **changes), CASE, repeat, "tests", journal)

    return run


def test_repeats_have_the_same_content_and_other_splits(run: Run) -> None:
    rows = [run(repeat) for repeat in range(2)]
    assert len({row.dataset["digest"] for row in rows}) == 2
    (content,) = {to_row(row)["data_content"] for row in rows}
    assert isinstance(content, str)
    assert len(content) == 16


def test_images_that_change_between_repeats_fail_the_case(run: Run) -> None:
    run(0)
    STATE["light"] = 1
    with pytest.raises(ChangedError, match=r"the data set unsteady changed .*--fresh") as failed:
        run(1)
    assert "\n" not in str(failed.value)


def test_nothing_is_written_of_a_repeat_that_would_rest_on_something_else(
    run: Run, tmp_path: Path
) -> None:
    run(0)
    STATE["light"] = 1
    with pytest.raises(ChangedError):
        run(1)
    assert not Journal.of(tmp_path, CASE, 1).path.exists()


def test_images_that_a_loader_draws_with_the_seed_are_no_change(run: Run) -> None:
    STATE["is_drawn"] = True
    contents = [to_row(run(repeat))["data_content"] for repeat in range(3)]
    # They have none in common.
    assert contents[1:] == [None, None]
    STATE["light"] = 1
    with pytest.raises(ChangedError, match="the data set unsteady"):
        run(3)


def test_another_device_fails_the_case(run: Run) -> None:
    run(0)
    with pytest.raises(ChangedError, match=r"device \(cpu, now a GPU\) changed"):
        run(1, environment={"host": "here", "device": "a GPU"})


def test_another_network_fails_the_case(run: Run) -> None:
    run(0)
    STATE["width"] = 4
    with pytest.raises(ChangedError, match=r"trainable parameters \(\d+, now \d+\) changed"):
        run(1)


def test_what_goes_on_all_the_same_says_so(run: Run) -> None:
    run(0)
    STATE["light"] = 1
    result = run(1, mixed=("the data set unsteady",))
    assert result.mixed == ("the data set unsteady",)
    assert "mixed" in (to_row(result)["marks"] or "").split()
