"""What only the torch backend does."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from greenbench.architectures import Flatten, Linear, Native, ReLU, Spec
from greenbench.architectures.spec import BatchNorm, Conv, Dropout
from greenbench.backends.base import (
    BuildRequest,
    OutOfMemoryError,
    TrainableModel,
    memory_errors_translated,
    sample_order,
)
from greenbench.backends.torch import TorchBackend
from greenbench.datasets.base import Dataset


class Prefixed(nn.Module):
    """A module with a parameter of its own besides those of its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(nn.init.zeros_(nn.Linear(1, 1).bias).detach())
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 10))

    def forward(self, images):  # type: ignore[no-untyped-def]
        return self.layers(images + self.shift)


def dropout_net() -> Native:
    return Native("dropout_net", "torch", Prefixed)


def train(model: TrainableModel, dataset: Dataset) -> None:
    model.train_epoch(sample_order(len(dataset.train), 64, 0, 0))


def test_native_module_trains(torch_backend: TorchBackend, digits: Dataset) -> None:
    model = torch_backend.build(BuildRequest(dropout_net()))
    assert model.parameters == 1 + 256 * 10 + 10
    # The bias adds nothing, and the gradient of the image is needed for the shift.
    assert model.count_train_flops() == 3 * 2 * 256 * 10
    train(model, digits)
    assert model.evaluate("validation") > 0.5


def test_counting_flops_does_not_shift_dropout(
    torch_backend: TorchBackend, digits: Dataset
) -> None:
    weights = []
    for is_counted in (True, False):
        model = torch_backend.build(BuildRequest(dropout_net(), seed=1))
        if is_counted:
            model.count_train_flops()
        train(model, digits)
        weights.append(model.get_weights())
    for counted, plain in zip(*weights, strict=True):
        np.testing.assert_array_equal(counted, plain)


def test_checkpoint_of_a_native_module_holds_parameters_outside_its_layers(
    torch_backend: TorchBackend, digits: Dataset
) -> None:
    model = torch_backend.build(BuildRequest(dropout_net()))
    train(model, digits)
    saved, outputs = model.get_weights(), model.predict(digits.test.images)
    assert sum(values.size for values in saved) == model.parameters
    train(model, digits)
    model.set_weights(saved)
    np.testing.assert_array_equal(model.predict(digits.test.images), outputs)


def test_predicting_leaves_the_images_alone(torch_backend: TorchBackend, digits: Dataset) -> None:
    spec = Spec("net", digits.image_shape, [ReLU(), Flatten(), ReLU(), Linear(10)])
    images = -np.ones((2, *digits.image_shape), np.float32)
    torch_backend.build(BuildRequest(spec)).predict(images)
    assert (images == -1).all()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."),
        type("ResourceExhaustedError", (Exception,), {})("OOM when allocating tensor"),
    ],
    ids=str,
)
def test_exhausted_memory_is_recognised(error: Exception) -> None:
    with pytest.raises(OutOfMemoryError), memory_errors_translated():
        raise error


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_errors_translated():
        raise RuntimeError("shapes cannot be multiplied")


NETWORKS = {
    "without numbers of its own": [Conv(4), BatchNorm(), ReLU(), Flatten(), Linear(10)],
    "dropout": [Conv(4), Flatten(), Dropout(0.5), Linear(10)],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_memory_held_before_has_no_part_in_a_new_network(
    torch_backend: TorchBackend, digits: Dataset, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = BuildRequest(Spec("net", (1, 16, 16), NETWORKS[name]), seed=2)
    torch.manual_seed(5)
    model = torch_backend.build(request)
    # The process draws on as if nothing had been built.
    drawn, torch_drawn = torch.rand(3), torch.Generator().manual_seed(5)
    torch.testing.assert_close(drawn, torch.rand(3, generator=torch_drawn), rtol=0, atol=0)
    # What torch fills memory with that was not written to.
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    try:
        other = torch_backend.build(request)
    finally:
        torch.use_deterministic_algorithms(False)
    for one in (model, other):
        for value, expected in zip(
            one.get_weights(), request.architecture.initial_weights(2), strict=True
        ):
            np.testing.assert_array_equal(value, expected)
        train(one, digits)
    for value, expected in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)


class Draws(TorchDispatchMode):
    """Counts tensors that are filled with random numbers."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += func in {torch.ops.aten.uniform_.default, torch.ops.aten.normal_.default}
        return func(*args, **(kwargs or {}))


def test_no_weights_are_drawn_that_are_overwritten(
    torch_backend: TorchBackend, digits: Dataset
) -> None:
    counts = []
    for layers in NETWORKS.values():
        with Draws() as draws:
            torch_backend.build(BuildRequest(Spec("net", (1, 16, 16), layers)))
        counts.append(draws.count)
    # What dropout draws later follows on those of two layers, each with a bias.
    assert counts == [0, 4]
