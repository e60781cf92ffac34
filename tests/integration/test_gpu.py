"""What a GPU's energy counter gives, and what the torch backend computes on one."""

import json
import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from greenbench.architectures import Native
from greenbench.backends.base import BuildRequest, TrainableModel
from greenbench.cases import Scalar
from greenbench.datasets.base import RawImages, make_dataset
from greenbench.energy.gpu_states import GpuWatch
from greenbench.energy.gpus import training_gpus, visible_gpus
from greenbench.tracking import Store
from tests.conftest import Greenbench

if TYPE_CHECKING:
    from greenbench.backends.torch import TorchBackend

BATCH = 64

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU on this machine"),
]


def rows_of(greenbench: Greenbench, *arguments: str, count: int) -> list[dict[str, Any]]:
    """Run a command, and return the rows of its results, which must be so many."""
    done = greenbench("run", *arguments, timeout_s=300)
    assert done.returncode == 0, done.stderr
    database = greenbench.folder / "mlruns" / "mlflow.db"
    rows = Store.existing(f"sqlite:///{database}").read_rows()
    assert len(rows) == count
    return rows


@pytest.mark.slow
def test_gpu_energy_is_a_counters_gross_and_net_and_two_meters_agree(
    greenbench: Greenbench,
) -> None:
    # Long windows, so that what ticks leave open is far below what is compared.
    rows = rows_of(
        greenbench,
        "-a", "simple_cnn.l", "--repeats", "3", "--min-window", "5",
        "--meter", "codecarbon,zeus", count=3,
    )  # fmt: skip
    for row in rows:
        assert row["gpu_provenance"] == "counter"
        assert row["train_s"] * row["passes"] > 4
        # An idle GPU with a context draws a tenth or more of what a small network makes it draw.
        assert 0 < row["gpu_net_wh"] < 0.95 * row["gpu_wh"]
        assert row["meter_disagreement"] < 0.03
        assert "drifted" not in str(row["marks"]).split()
    joules = [row["gpu_wh"] for row in rows]
    assert max(joules) < 1.15 * min(joules)


@pytest.mark.slow
def test_more_training_takes_more_energy_in_proportion(greenbench: Greenbench) -> None:
    rows = [
        rows_of(
            greenbench, "-a", "simple_cnn.l", "--repeats", "1", "--min-window", "6",
            "--epochs", epochs, "--seed", epochs, count=count,
        )
        for epochs, count in (("10", 1), ("40", 2))
    ][-1]  # fmt: skip
    short, long = (
        next(row["train_wh"] for row in rows if row["epochs"] == epochs) for epochs in (10, 40)
    )
    # The capture of a graph is done once, whatever follows.
    assert 3 < long / short < 4.4


@pytest.fixture(scope="module")
def backend() -> "TorchBackend":
    from greenbench.backends.torch import TorchBackend  # noqa: PLC0415

    loaded = TorchBackend("torch", threads=1)
    pixels, labels = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 1, 8, 8).repeat(2, axis=2).repeat(2, axis=3)
    loaded.load(make_dataset("digits", "scikit-learn", RawImages(images, labels, 16.0), seed=0))
    return loaded


def dropout_net() -> Native:
    from torch import nn  # noqa: PLC0415

    def build() -> nn.Module:
        layers = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 14 * 14, 10))

    return Native("dropout_net", "torch", build)


def trained(
    backend: "TorchBackend", options: Mapping[str, Scalar], epochs: int = 3, seed: int = 1
) -> tuple[list[float], TrainableModel]:
    """Return losses and model; each epoch ends with a batch that is not full."""
    request = BuildRequest(dropout_net(), batch_size=BATCH, seed=seed, options=options)
    model = backend.build(request)
    orders = (np.random.default_rng(epoch).permutation(10 * BATCH + 17) for epoch in range(epochs))
    return [model.train_epoch(order) for order in orders], model


OPTIONS: list[Mapping[str, Scalar]] = [
    {},
    {"cuda_graphs": False},
    {"channels_last": True},
    {"precision": "tf32"},
    {"precision": "bfloat16"},
    {"precision": "float16"},
    {"cuda_graphs": True},
    {"cuda_graphs": True, "precision": "bfloat16", "channels_last": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equal_seeds_give_equal_weights_on_a_gpu(
    backend: "TorchBackend", options: Mapping[str, Scalar]
) -> None:
    (losses, one), (again, other) = (trained(backend, options) for _ in range(2))
    assert losses == again
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert trained(backend, options, seed=2)[0] != losses


@pytest.mark.parametrize("options", OPTIONS[1:], ids=str)
def test_options_train_along_the_losses_of_float32(
    backend: "TorchBackend", options: Mapping[str, Scalar]
) -> None:
    expected, plain = trained(backend, {})
    losses, model = trained(backend, options)
    assert losses == pytest.approx(expected, rel=0.1)
    assert model.evaluate("test") == pytest.approx(plain.evaluate("test"), abs=0.05)
    assert model.count_train_flops() == plain.count_train_flops()


def test_weights_that_are_loaded_after_the_capture_are_trained(backend: "TorchBackend") -> None:
    _, model = trained(backend, {"cuda_graphs": True}, epochs=1)
    zeros = [np.zeros_like(values) for values in model.get_weights()]
    model.set_weights(zeros)
    # Outputs of zero: each of the ten classes is as likely as another.
    assert model.train_epoch(np.arange(BATCH)) == pytest.approx(np.log(10), abs=1e-3)


def test_models_with_graphs_in_turns_train_as_each_would_alone(backend: "TorchBackend") -> None:
    def build() -> TrainableModel:
        request = BuildRequest(
            dropout_net(), batch_size=BATCH, seed=1, options={"cuda_graphs": True}
        )
        return backend.build(request)

    alone, one, other = build(), build(), build()
    order = np.arange(4 * BATCH)
    for _ in range(2):
        alone.train_epoch(order)
    for _ in range(2):
        one.train_epoch(order)
        other.train_epoch(order[::-1].copy())
    for left, right in zip(alone.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("options", [{}, {"cuda_graphs": True}, {"channels_last": True}], ids=str)
def test_network_that_works_in_place_leaves_the_images_on_a_gpu_alone(
    backend: "TorchBackend", options: Mapping[str, Scalar]
) -> None:
    from torch import Tensor, nn  # noqa: PLC0415

    class Shift(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.sub_(0.5).mul_(2)

    def build() -> nn.Module:
        return nn.Sequential(Shift(), nn.Flatten(), nn.Linear(256, 10))

    before = backend.digest()
    request = BuildRequest(Native("n", "torch", build), batch_size=BATCH, options=options)
    model = backend.build(request)
    for _ in range(2):
        model.train_epoch(np.arange(4 * BATCH))
    model.count_train_flops()
    assert len({model.evaluate("validation") for _ in range(3)}) == 1
    assert backend.digest() == before


def test_settings_of_one_network_do_not_reach_the_next_on_a_gpu(backend: "TorchBackend") -> None:
    import torch  # noqa: PLC0415

    def build() -> torch.nn.Module:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.set_default_device("cuda")
        torch.cuda.manual_seed(7)
        torch.cuda.set_stream(torch.cuda.Stream())
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10))

    expected, _ = trained(backend, {})
    stream, state = torch.cuda.current_stream(), torch.cuda.get_rng_state()
    backend.build(BuildRequest(Native("greedy", "torch", build)))
    assert torch.cuda.current_stream() == stream
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert torch.get_default_device() == torch.device("cpu")
    assert not torch.backends.cudnn.benchmark
    assert not torch.backends.cuda.matmul.allow_tf32
    assert trained(backend, {})[0] == expected


def test_tf32_rounds_products_and_is_off_again(backend: "TorchBackend") -> None:
    import torch  # noqa: PLC0415

    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no TF32")
    exact, rounded = (trained(backend, options)[0] for options in ({}, {"precision": "tf32"}))
    assert exact != rounded
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def gpu_j(account: dict[str, Any]) -> float:
    """Return what the GPU used in all phases of an account."""
    parts = [each["components"]["gpu"] for each in account["phases"].values()]
    return sum(part["energy_j"] for part in parts)


@pytest.mark.slow
@pytest.mark.parametrize("count", ["8", "auto"])
def test_trials_of_a_batch_share_a_gpus_energy(greenbench: Greenbench, count: str) -> None:
    (row,) = rows_of(
        greenbench,
        "-s", "random", "-a", "simple_cnn", "--trials", "8", "--epochs", "2",
        "--repeats", "1", "--batched-trials", count, "--min-window", "5", count=1,
    )  # fmt: skip
    (journal,) = greenbench.journals
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    (result,) = (line["values"] for line in lines if line["event"] == "result")
    assert [trial["lanes"] for trial in result["trials"]] == [8] * 8
    assert ("8 trials are trained as one" in str(row["compute_notes"])) == (count == "auto")
    # In all phases: one that lasts less than a tick is booked with another, which may be a
    # different one for a trial, told while the search runs, than for the whole of it.
    shares = [gpu_j(each["account"]) for each in result["trials"]]
    trained = result["account"]["phases"]["train"]["components"]["gpu"]["energy_j"]
    assert trained > 0
    assert shares == pytest.approx([shares[0]] * 8)
    assert 0.9 * trained < sum(shares) < 1.1 * gpu_j(result["account"])


def test_card_that_is_read_is_the_one_that_torch_computes_on(backend: "TorchBackend") -> None:
    import torch  # noqa: PLC0415

    told = backend.gpu_uuids()
    assert told
    [gpu] = training_gpus({"CUDA_VISIBLE_DEVICES": "-1"}, told)
    assert gpu.uuid.removeprefix("GPU-") == told[0] or gpu.is_slice
    assert gpu.name == torch.cuda.get_device_name(0) or gpu.is_slice
    # What the environment says is the same, where nothing has to be guessed.
    assert {gpu} <= set(visible_gpus(os.environ))


def test_states_of_a_card_are_known_and_tell_load_from_rest(backend: "TorchBackend") -> None:
    gpus = training_gpus(os.environ, backend.gpu_uuids())
    watch = GpuWatch(gpus)
    for _ in range(3):
        trained(backend, {}, epochs=20)
    [found] = watch.end()
    for state in found.states:
        assert 0 < (state.temperature_c or 0) < 110
        assert (state.power_limit_w or 0) > 0
        assert state.throttled_by is not None
    assert (found.after.sm_clock_mhz or 0) >= (found.before.sm_clock_mhz or 0) * 0.5
    # Unknown in a container; we are alone, or somebody else disturbs this test.
    assert found.after.others_share in (None, pytest.approx(0.0, abs=0.05))


@pytest.mark.slow
@pytest.mark.parametrize("listed", ["", "-1"])
def test_run_that_sees_no_gpu_has_none_in_its_figures(greenbench: Greenbench, listed: str) -> None:
    greenbench.environment["CUDA_VISIBLE_DEVICES"] = listed
    done = greenbench("run", "-a", "dense.xs", "--repeats", "1", "--meter", "codecarbon,zeus")
    assert done.returncode == 0, done.stderr
    database = greenbench.folder / "mlruns" / "mlflow.db"
    [row] = Store.existing(f"sqlite:///{database}").read_rows()
    assert (row["device"], row["gpu_wh"], row["gpu_temperature_c"]) == ("cpu", None, None)


@pytest.mark.slow
def test_run_names_the_card_by_its_uuid_and_records_its_state(greenbench: Greenbench) -> None:
    [gpu, *_] = visible_gpus(os.environ)
    greenbench.environment["CUDA_VISIBLE_DEVICES"] = gpu.uuid
    done = greenbench("run", "-a", "simple_cnn.xs", "--repeats", "1", "--meter", "codecarbon,zeus")
    assert done.returncode == 0, done.stderr
    database = greenbench.folder / "mlruns" / "mlflow.db"
    [row] = Store.existing(f"sqlite:///{database}").read_rows()
    assert row["device"] != "cpu"
    assert row["gpu_temperature_before_c"] > 0
    assert row["gpu_power_limit_w"] > 0
