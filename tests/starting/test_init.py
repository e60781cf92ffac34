"""`greenbench init` as a user meets it."""

import ast
import configparser
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenbench.cli import cli
from tests.starting.test_finds import KERAS, LIGHTNING, NETS, TRAIN, project

MODEL = """
import torch

class Net(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(784, 10))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["init", *arguments])


def files_of(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("text", ["", NETS, KERAS, LIGHTNING, TRAIN])
def test_all_that_is_written_can_be_read(here: Path, text: str) -> None:
    project(here, mine=text)
    done = init("--github", "--gitlab")
    assert done.exit_code == 0, done.output
    files = files_of(here)
    (bench,) = [name for name in files if name.startswith("benchmarks/")]
    ast.parse(files[bench])
    assert tomllib.loads(files["budgets.toml"])["budget"]
    tox = configparser.ConfigParser()
    tox.read_string(files["tox.ini"])
    command = tox["testenv:bench"]["commands"]
    assert done.output.splitlines()[-1] == f"Next: {command}"
    assert bench in command
    assert {".github/workflows/greenbench.yml", ".gitlab-ci.yml"} <= set(files)


def test_a_program_can_be_searched_by_its_flags(here: Path) -> None:
    project(here, train=TRAIN)
    assert "--command 'python train.py --lr {learning_rate}' --space rate" in init().output


def test_nothing_is_overwritten(here: Path) -> None:
    project(here, nets=NETS)
    before = {"tox.ini": "[tox]\n", "budgets.toml": "# mine\n", ".gitlab-ci.yml": "a: 1\n"}
    for name, text in before.items():
        (here / name).write_text(text)
    done = init("--gitlab")
    assert done.exit_code == 0
    after = files_of(here)
    assert {name: after[name] for name in before} == before
    assert ".gitlab-ci.greenbench.yml" in after
    assert "left tox.ini as it is" in done.output
    assert "[testenv:bench]" in done.output
    assert init().exit_code == 0
    assert files_of(here) == after


def test_one_is_chosen(here: Path) -> None:
    project(here, nets=NETS)
    done = init("--of", "nets.py:Wide", "--name", "wide_one")
    assert done.exit_code == 0
    assert "from nets import Wide" in (here / "benchmarks/bench_wide_one.py").read_text()


def test_the_name_is_none_that_is_taken(here: Path) -> None:
    project(here, nets=NETS.replace("Net(Base)", "Unet(Base)"))
    assert init().exit_code == 0
    assert (here / "benchmarks/bench_my_unet.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--of", "nets.py:Wid"],
            "unknown part of the project 'nets.py:Wid'; did you mean",
        ),
        (["--name", "My Net"], "--name is 'My Net'; expected lower-case letters, digits and _"),
        (["--name", "unet"], "--name is 'unet'; expected lower-case letters, digits and _, and no"),
    ],
)
def test_bad_input_is_one_line(here: Path, arguments: list[str], expected: str) -> None:
    project(here, nets=NETS)
    before = files_of(here)
    done = init(*arguments)
    assert done.exit_code == 2
    assert expected in done.output
    assert len(done.output.splitlines()) == 1
    assert files_of(here) == before


def test_nothing_is_left_half_written(here: Path) -> None:
    # A file where a folder should be.
    (here / "benchmarks").write_text("")
    done = init()
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1)
    assert list(files_of(here)) == ["benchmarks"]


LIT = """
import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset

class Digits(L.LightningModule):
    def __init__(self, width=8):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log("val_loss", self.training_step(batch, index))

    def test_step(self, batch, index):
        self.log("test_loss", self.training_step(batch, index))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Data(L.LightningDataModule):
    def train_dataloader(self):
        data = TensorDataset(torch.rand(32, 4), torch.randint(2, (32,)))
        return DataLoader(data, batch_size=8)

    val_dataloader = test_dataloader = train_dataloader
"""


# Raw outputs: by a loss of probabilities its training would end in NaN.
RAW = """
import keras

def build():
    layers = [keras.Input((8,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(3)]
    return keras.Sequential(layers)
"""


@pytest.mark.integration
@pytest.mark.parametrize("text", ["", MODEL, LIT, RAW])
def test_what_is_written_runs_as_it_stands(here: Path, text: str) -> None:
    project(here, nets=text)
    done = init()
    command = done.output.splitlines()[-1].removeprefix("Next: pytest ").split()
    options = ["-p", "no:cacheprovider", "--greenbench-allow-unjudged"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *command, "--greenbench-repeats", "1", *options],
        cwd=here, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    assert "1 passed" in ran.stdout or "2 passed" in ran.stdout
