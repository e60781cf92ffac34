"""What a native torch module does in its forward pass, found before anything is trained."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.profiler import record_function

from greenbench.architectures import Native
from greenbench.backends.base import BuildRequest
from greenbench.backends.torch import TorchBackend
from greenbench.datasets.base import Dataset
from greenbench.errors import ArchitectureError, ArchitectureWarning

PIXELS, CLASSES, BATCH = 256, 10, 32


@pytest.fixture
def backend(digits: Dataset) -> TorchBackend:
    backend = TorchBackend("torch", threads=1)
    backend.load(digits)
    return backend


def build(backend: TorchBackend, builder: Callable[[], Any]) -> Any:
    return backend.build(BuildRequest(Native("mine", "torch", builder), batch_size=BATCH))


def refusal(backend: TorchBackend, builder: Callable[[], Any]) -> str:
    with pytest.raises(ArchitectureError, match=r"'mine' \(\S*test_torch_forward.py") as caught:
        build(backend, builder)
    return str(caught.value)


class Net(nn.Module):
    """A network that computes what it is told to with its parts."""

    def __init__(self, compute: Callable[[Any, Tensor], Any], **parts: Any) -> None:
        super().__init__()
        self.calls = 0
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))
        self.compute = compute
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, images: Tensor) -> Any:
        self.calls += 1
        return self.compute(self, images)


def lazy() -> nn.Module:
    convolution = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU())
    return nn.Sequential(convolution, nn.Flatten(), nn.LazyLinear(CLASSES))


def test_lazy_layers_get_their_shapes_from_images(backend: TorchBackend, digits: Dataset) -> None:
    model, same = build(backend, lazy), build(backend, lazy)
    assert model.parameters == 4 * 9 + 4 + 2 * 4 + 4 * 14 * 14 * CLASSES + CLASSES
    for one, other in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # No image has left a trace in the running statistics.
    means = [each for each in model.get_weights() if each.shape == (4,)][-2]
    np.testing.assert_array_equal(means, 0)
    assert np.isfinite(model.train_epoch(np.arange(len(digits.train))))


def test_lazy_layer_that_sees_no_image_is_named(backend: TorchBackend) -> None:
    def unused() -> nn.Module:
        return Net(lambda net, images: net.layers(images), spare=nn.LazyLinear(3))

    assert "spare.weight still has no shape" in refusal(backend, unused)


def frozen_at(call: int) -> nn.Module:
    def compute(net: Net, images: Tensor) -> Tensor:
        if net.calls >= call:
            net.layers.requires_grad_(requires_grad=False)
        return net.layers(images)  # type: ignore[no-any-return]

    return Net(compute)


@pytest.mark.parametrize(
    ("call", "expected"),
    [(1, "no parameter gets a gradient"), (2, "freezes parameter layers.1.weight, layers.1.bias")],
)
def test_forward_pass_that_freezes_is_refused(
    backend: TorchBackend, call: int, expected: str
) -> None:
    assert expected in refusal(backend, lambda: frozen_at(call))


@pytest.mark.parametrize(
    "make",
    [lambda: [nn.Linear(CLASSES, CLASSES)], lambda: [torch.eye(CLASSES).requires_grad_()]],
    ids=["layer in a list", "plain tensor"],
)
def test_what_learns_outside_of_the_parameters_is_refused(
    backend: TorchBackend, make: Callable[[], Any]
) -> None:
    def compute(net: Any, images: Tensor) -> Tensor:
        part = net.hidden[0]
        outputs: Tensor = net.layers(images)
        return outputs @ part if isinstance(part, Tensor) else part(outputs)

    message = refusal(backend, lambda: Net(compute, hidden=make()))
    assert "tensor of shape (10, 10) that gets gradients but is none of its parameters" in message


@pytest.mark.parametrize(
    "compute",
    [
        lambda net, images: net.layers(images) + torch.zeros(CLASSES).requires_grad_(),
        lambda net, images: net.layers(images.requires_grad_()),
        lambda net, images: net.hidden[0](net.layers(images)),
    ],
    ids=["initial state", "images", "frozen layer in a list"],
)
def test_tensors_that_are_nothing_to_learn_pass(backend: TorchBackend, compute: Any) -> None:
    def network() -> nn.Module:
        hidden = nn.Linear(CLASSES, CLASSES).requires_grad_(requires_grad=False)
        return Net(compute, hidden=[hidden])

    assert build(backend, network).parameters == PIXELS * CLASSES + CLASSES


class Skipped(nn.Module):
    """Stochastic depth by hand: most batches go around it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(PIXELS, PIXELS)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and torch.rand(()) < 0.8:
            return inputs
        return inputs + self.layer(inputs)  # type: ignore[no-any-return]


def test_layers_that_chance_leaves_out_are_no_mistake(backend: TorchBackend) -> None:
    def network() -> nn.Module:
        blocks = [Skipped() for _ in range(4)]
        return nn.Sequential(nn.Flatten(), *blocks, nn.Linear(PIXELS, CLASSES))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArchitectureWarning)
        for seed in range(5):
            request = BuildRequest(Native(f"mine{seed}", "torch", network), seed=seed)
            backend.build(request)


def test_softmax_is_found_behind_dropout(backend: TorchBackend) -> None:
    def network() -> nn.Module:
        layers = [nn.Linear(PIXELS, CLASSES), nn.Softmax(dim=1), nn.Dropout(0.2)]
        return nn.Sequential(nn.Flatten(), *layers)

    assert "ends in a softmax" in refusal(backend, network)


def test_auxiliary_heads_are_refused_with_how_to_leave_them_out(backend: TorchBackend) -> None:
    class Heads(NamedTuple):
        logits: Tensor
        aux_logits2: Tensor

    def compute(net: Any, images: Tensor) -> Any:
        outputs = net.layers(images)
        return Heads(outputs, outputs) if net.training else outputs

    assert "aux_logits=False" in refusal(backend, lambda: Net(compute))


class Versioned(nn.Module):
    """Loads no state without its version, as MNASNet of torchvision does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(PIXELS, CLASSES)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        raise ValueError("version should be set")

    def forward(self, images: Tensor) -> Tensor:
        with record_function("mine"):
            return self.layer(images.flatten(1))  # type: ignore[no-any-return]


def test_flops_are_counted_of_networks_with_a_state_and_marks_of_their_own(
    backend: TorchBackend,
) -> None:
    assert build(backend, Versioned).count_train_flops() == 2 * 2 * PIXELS * CLASSES


def test_what_is_kept_of_an_evaluation_can_meet_a_gradient(
    backend: TorchBackend, digits: Dataset
) -> None:
    def compute(net: Any, images: Tensor) -> Tensor:
        if net.training and net.kept is not None:
            return net.layers(images) * net.kept  # type: ignore[no-any-return]
        if not net.training:
            net.kept = torch.ones(CLASSES)
        return net.layers(images)  # type: ignore[no-any-return]

    model = build(backend, lambda: Net(compute, kept=None))
    model.evaluate("validation")
    assert np.isfinite(model.train_epoch(np.arange(len(digits.train))))
