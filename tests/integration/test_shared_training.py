"""Trainings that two processes share, by gloo on the CPU; the gradients of torch are its own."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from greenbench.architectures.spec import Weights
from greenbench.backends.base import sample_order
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.machine.threads import available_cores
from greenbench.running.companions import CompanionProcesses
from greenbench.search.sharing import SharedBackend
from greenbench.search.subject import load_subject
from greenbench.search.unmeasured import unmeasured
from tests.conftest import Greenbench, is_gone

pytestmark = [
    pytest.mark.integration,
    pytest.mark.usefixtures("made_store"),
    pytest.mark.skipif(available_cores() < 2, reason="two processes take two cores"),
]

PATIENCE_S = 300.0
Eventually = Callable[..., None]
# With Adam, parameters whose gradient is but rounding would go anywhere.
PLAIN = {"learning_rate": 0.1}
PLAIN_RUN = ("--space", "rate", "--repeats", "1", "--devices", "2", "--threads", "1")
SEARCH = ("-s", "random", *PLAIN_RUN)


@dataclass
class Pair:
    """A backend that shares with one companion, and one that trains alone."""

    folder: Path
    shared: SharedBackend
    alone: TorchBackend = field(default_factory=lambda: TorchBackend("torch", threads=1))

    def trained(self, case: Case, *, is_shared: bool = True) -> tuple[Weights, float, float, int]:
        """Return weights, loss, score and FLOPs of a model after two epochs."""
        self.shared.attend({"case": case.to_dict(), "repeat": 0})
        backend = self.shared if is_shared else self.alone
        subject = load_subject(unmeasured(backend, self.folder, lambda *_: None), case, 0)
        model = subject.build(PLAIN, seed=3)
        orders = [sample_order(len(subject.dataset.train), 64, 5, epoch) for epoch in range(2)]
        loss = [model.train_epoch(order) for order in orders][-1]
        return model.get_weights(), loss, model.evaluate("validation"), model.count_train_flops()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("data")
    set_up = {
        "backend": "torch", "threads": 1, "devices": 2, "data_dir": str(folder),
        "modules": [], "in_sight": {}, "parts": [],
    }  # fmt: skip
    started: list[CompanionProcesses] = []

    def start() -> CompanionProcesses:
        started.append(CompanionProcesses(set_up, pytest.fail))
        return started[-1]

    own = TorchBackend("torch", threads=1, devices=2)
    yield Pair(folder, SharedBackend(own, start))
    for companions in started:
        companions.close()
    own.leave()


CASES = [
    # Batch normalisation; dense layers with a schedule; convolutions on images that are varied.
    Case(architecture="simple_cnn", size="xs", optimizer="sgd", devices=2, threads=1),
    Case(architecture="dense", size="s", optimizer="sgd", schedule="cosine", devices=2, threads=1),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.network)
def test_two_devices_learn_what_one_does_but_for_rounding(pair: Pair, case: Case) -> None:
    weights, loss, score, flops = pair.trained(case)
    alone, its_loss, its_score, its_flops = pair.trained(case, is_shared=False)
    for ours, theirs in zip(weights, alone, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    assert loss == pytest.approx(its_loss, rel=1e-4)
    assert score == pytest.approx(its_score, abs=0.01)
    assert flops == its_flops


def test_the_same_again_is_equal_to_the_bit(pair: Pair) -> None:
    case = Case(architecture="dense", size="xs", devices=2, threads=1)
    one, other = pair.trained(case), pair.trained(case)
    assert all(np.array_equal(*each) for each in zip(one[0], other[0], strict=True))
    assert one[1:] == other[1:]


FRAGILE = '''
"""A network that is killed in the second process, once, in its first trial or its second."""
import os
from pathlib import Path

import torch
from greenbench import register_architecture
from greenbench.architectures import native

FIRED = Path("fired").absolute()
STEP = 40
seen = 0


class Fragile(torch.nn.Sequential):
    def forward(self, images):
        global seen
        seen += self.training
        if os.environ.get("RANK") == "1" and seen > STEP and not FIRED.exists():
            FIRED.touch()
            os.kill(os.getpid(), 9)
        return super().forward(images)


@register_architecture("fragile_rank")
@native("torch")
def fragile_rank(image_shape, classes):
    channels, height, width = image_shape
    return Fragile(torch.nn.Flatten(), torch.nn.Linear(channels * height * width, classes))
'''


def ranks(folder: Path) -> list[int]:
    """Return the companions that work in a folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "status"]):
        command = process.info["cmdline"] or ()
        if process.info["cwd"] == str(folder) and "greenbench.running.rank" in command:
            found.append(process.info["pid"])
    return found


def test_killed_rank_costs_its_trial_alone_and_none_is_left(greenbench: Greenbench) -> None:
    (greenbench.folder / "fragile.py").write_text(FRAGILE)
    done = greenbench(
        "run", "-p", "fragile.py", "-a", "fragile_rank", *SEARCH, "--trials", "5", "--epochs", "1"
    )
    assert done.returncode == 0, done.stderr
    (journal,) = greenbench.journals
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    (result,) = (line["values"] for line in lines if line["event"] == "result")
    found = [(trial["status"], trial["error"]) for trial in result["trials"]]
    assert sorted(status for status, _ in found) == ["completed"] * 4 + ["failed"]
    assert [error for _, error in found if error] == ["rank 1 of 2 was killed by SIGKILL"]
    assert result["test_score"] is not None
    assert not ranks(greenbench.folder)


@pytest.mark.parametrize("who", ["greenbench", "its worker"])
def test_ranks_end_with_whoever_is_killed(
    greenbench: Greenbench, eventually: Eventually, who: str
) -> None:
    process = greenbench.start(
        "run", "-a", "dense.xs", *SEARCH, "--trials", "1", "--epochs", "100000"
    )
    eventually(lambda: ranks(greenbench.folder), PATIENCE_S)
    (rank,) = ranks(greenbench.folder)
    if who == "its worker":
        os.kill(psutil.Process(rank).ppid(), signal.SIGKILL)
        eventually(lambda: is_gone(rank), PATIENCE_S)
    process.kill()
    process.wait()
    eventually(lambda: not ranks(greenbench.folder), PATIENCE_S)


TRAIN = """
import os, sys, time
import torch
from torch import distributed, nn
import greenbench

distributed.init_process_group("gloo")
rank, count = distributed.get_rank(), distributed.get_world_size()
with open(f"rank-{rank}", "w") as file:
    file.write(str(os.getpid()))
torch.manual_seed(int(os.environ["GREENBENCH_SEED"]))
model = nn.parallel.DistributedDataParallel(nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), float(sys.argv[1]))
inputs = torch.randn(64, 4)
targets = inputs.sum(1, keepdim=True)
for epoch in range(int(sys.argv[2])):
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(inputs[rank::count]), targets[rank::count])
        loss.backward()
        optimizer.step()
    if os.path.exists("hang"):
        time.sleep(600)
    if rank == 0:
        greenbench.report(epoch=epoch + 1, score=1 / (1 + float(loss)), samples=640)
if rank == 0:
    greenbench.report(test_score=1 / (1 + float(loss)), parameters=5, count=count)
"""


@pytest.fixture
def torchrun(greenbench: Greenbench) -> tuple[str, ...]:
    (greenbench.folder / "train.py").write_text(TRAIN)
    program = f"{sys.executable} -m torch.distributed.run --standalone"
    line = f"{program} --nproc-per-node={{devices}} train.py {{learning_rate}} {{epochs}}"
    return ("run", "--command", line, "--score", "r2", *PLAIN_RUN)


def test_a_program_of_several_processes_is_trained_from_report_to_report(
    greenbench: Greenbench, torchrun: tuple[str, ...]
) -> None:
    done = greenbench(*torchrun, "--epochs", "3")
    assert done.returncode == 0, done.stderr
    (journal,) = greenbench.journals
    (result,) = (
        line["values"]
        for line in map(json.loads, journal.read_text().splitlines())
        if line["event"] == "result"
    )
    assert result["metrics"]["count"] == 2
    (trial,) = result["trials"]
    assert (trial["status"], len(trial["epochs"])) == ("completed", 3)
    assert all(map(is_gone, _told(greenbench.folder)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of others")
def test_processes_of_a_program_end_with_a_worker_that_is_killed(
    greenbench: Greenbench, torchrun: tuple[str, ...], eventually: Eventually
) -> None:
    (greenbench.folder / "hang").touch()
    process = greenbench.start(*torchrun, "--epochs", "2")
    eventually(lambda: len(_told(greenbench.folder)) == 2, PATIENCE_S)
    told = _told(greenbench.folder)
    # The launcher, which is the program, and the worker that started it.
    worker = psutil.Process(told[0]).parents()[1]
    worker.kill()
    process.kill()
    process.wait()
    eventually(lambda: all(map(is_gone, told)), PATIENCE_S)


def _told(folder: Path) -> list[int]:
    texts = [path.read_text() for path in sorted(folder.glob("rank-*"))]
    return [int(text) for text in texts if text]
