"""A data set is read once for all repeats that want the same, as long as nothing has changed."""

import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from greenbench import register_architecture, register_dataset
from greenbench.architectures import native
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.base import RawImages, make_dataset
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import ArchitectureError, ChangedError
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.search.bench import Bench
from greenbench.search.kept_data import KeptData
from greenbench.search.repeat import prepare, run_repeat
from greenbench.testing import FakeClock, FakeMeter

CASE = Case("random", "dense", size="xs", dataset="filed", trials=1, epochs=1, batch_size=8)
HOW = {"reads": "plainly"}
loads: list[int] = []
beside: list[int] = []
held: list[Any] = []
darkened: list[Any] = []

Run = Callable[..., CaseResult]


@register_dataset("filed")
def load_filed(context: LoadContext, shift: float = 0) -> Dataset:
    """Read images from a file, somehow."""
    loads.append(context.seed)
    beside.append(sum(each() is not None for each in held))
    file = context.data_dir / "images.npy"
    pixels = np.load(file) + np.uint8(shift)
    if HOW["reads"] == "by a program":
        subprocess.run([sys.executable, "-c", ""], check=True)
    if HOW["reads"] == "with shared random numbers":
        pixels[0, 0, 0, 0] = np.random.randint(9)
    if HOW["reads"] in ("a map of a file", "a little past python"):
        more = read_past_python(context.data_dir / "small.bin", HOW["reads"])
        pixels = np.concatenate([pixels, np.frombuffer(more, np.uint8).reshape(-1, 1, 4, 4)])
    if HOW["reads"] == "past python":
        read_past_python(context.data_dir / "large.bin")
    with (context.data_dir / "log").open("a") as log:
        log.write("a line that nobody reads\n")
    pool = RawImages(pixels, np.arange(len(pixels)) % 2)
    dataset = make_dataset("filed", "a file", pool, seed=context.seed)
    held.append(weakref.ref(dataset.train.images))
    return dataset


def read_past_python(path: Path, how: str = "") -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return (pa.memory_map if "map" in how else pa.OSFile)(str(path)).read()


class Darkening(nn.Module):
    """A network that darkens the images that it is given, wherever they lie."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.layer = nn.Linear(side * side, 2)

    def forward(self, images: Tensor) -> Any:
        for pixels in darkened:
            pixels()[:] = 0
        return self.layer(images.flatten(1))


@register_architecture("darkening")
@native("torch")
def darkening(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build it."""
    return Darkening(image_shape[1])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setitem(HOW, "reads", "plainly")
    for each in (loads, beside, held, darkened):
        each.clear()
    write(tmp_path, 0)
    (tmp_path / "large.bin").write_bytes(bytes(1 << 20))
    (tmp_path / "small.bin").write_bytes(bytes(40_000))
    clock = FakeClock()
    bench = Bench(
        TorchBackend("torch", threads=1), FakeMeter(clock), FakeMeter(clock),
        CarbonIntensity(100.0, "a test"), {"device": "cpu"}, tmp_path, lambda event, values: None,
        kept=KeptData(),
    )  # fmt: skip

    def run(case: Case, repeat: int = 0, *, is_idle: bool = False) -> CaseResult:
        if is_idle:
            prepare(bench, case, repeat)
        return run_repeat(bench, case, repeat, "tests", Journal.of(tmp_path, case, repeat))

    return run


def write(folder: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 200, (40, 1, 4, 4)).astype(np.uint8)
    np.save(folder / "images.npy", pixels)


def test_cases_of_a_round_read_their_data_once(run: Run) -> None:
    cases = [CASE, replace(CASE, strategy="grid"), replace(CASE, size="s")]
    digests = {run(case, is_idle=True).dataset["digest"] for case in cases}
    assert len(digests) == len(loads) == 1


def test_another_split_and_other_options_are_read_anew(run: Run) -> None:
    found = [run(CASE), run(CASE, 1), run(replace(CASE, dataset_options={"shift": 1}))]
    assert len(loads) == 3
    assert len({each.dataset["digest"] for each in found}) == 3


def test_options_of_another_type_are_others(run: Run) -> None:
    run(replace(CASE, dataset_options={"shift": 1}))
    run(replace(CASE, dataset_options={"shift": 1.0}, seed=1))
    run(replace(CASE, dataset_options={"shift": True}, seed=2))
    assert len(loads) == 3


def test_a_file_that_changed_is_read_again(run: Run, tmp_path: Path) -> None:
    before = run(CASE)
    write(tmp_path, 1)
    after = run(replace(CASE, strategy="grid"))
    assert len(loads) == 2
    assert before.dataset["content"] != after.dataset["content"]


def test_a_file_that_changed_between_repeats_fails_the_case(run: Run, tmp_path: Path) -> None:
    run(CASE)
    write(tmp_path, 1)
    with pytest.raises(ChangedError, match="the data set filed changed"):
        run(CASE, 1)


@pytest.mark.parametrize(
    "how",
    [
        "by a program",
        "with shared random numbers",
        "past python",
        "a map of a file",
        "a little past python",
    ],
)
def test_what_rests_on_more_than_files_is_read_for_each_repeat(
    run: Run, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setitem(HOW, "reads", how)
    run(CASE)
    run(replace(CASE, size="s"))
    assert len(loads) == 2


def test_a_training_that_changes_its_images_changes_nobody_elses(run: Run) -> None:
    clean = run(CASE)
    darkened.append(held[-1])
    with pytest.raises(ArchitectureError, match="changed the images"):
        run(replace(CASE, architecture="darkening", size=None))
    darkened.clear()
    again = run(replace(CASE, strategy="grid"))
    assert len(loads) == 2
    assert again.dataset["digest"] == clean.dataset["digest"]


@pytest.mark.parametrize("how", ["plainly", "by a program"])
def test_the_last_data_are_gone_before_others_are_read(
    run: Run, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setitem(HOW, "reads", how)
    monkeypatch.setattr("greenbench.search.kept_data.LARGE_BYTES", 0)
    for repeat in range(3):
        run(CASE, repeat)
    assert beside == [0, 0, 0]
