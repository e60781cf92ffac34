"""Layers of few channels compute what those of PyTorch do, whoever computes them."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.profiler import profile

from greenbench.backends.torch_few_channels import CHANNELS, VALUES, FewChannels

LANES = 3

Layers = Callable[[], Any]


def norm(channels: int = 3, **options: Any) -> Layers:
    return lambda: nn.BatchNorm2d(channels, **options)


def convolution(size: int, channels: int = 3, **options: Any) -> Layers:
    return lambda: nn.Conv2d(channels, 4, size, **{"padding": size // 2, **options})


def outcome(
    make: Layers, shape: tuple[int, ...], *, ours: bool, lanes: bool
) -> tuple[list[Tensor], set[str]]:
    """Return outputs, gradients and buffers after a pass, and names of the functions it ran."""
    torch.manual_seed(0)
    modules = [make() for _ in range(LANES if lanes else 1)]
    with torch.no_grad():
        for each in (each for module in modules for each in module.parameters()):
            each.normal_()
    names = [name for name, _ in modules[0].named_parameters()]
    tensors = {
        name: torch.stack([module.state_dict()[name] for module in modules])
        for name in modules[0].state_dict()
    }
    parameters = {name: tensors.pop(name).requires_grad_() for name in names}
    inputs = (2 * torch.randn(len(modules), *shape) + 5).requires_grad_()
    wanted = torch.randn(len(modules), *shape[:1])

    def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs = functional_call(modules[0], (parameters, buffers), (inputs,))
        return outputs.flatten(1).square().mean(1)

    with profile() as seen, FewChannels(lanes=lanes) if ours else nullcontext():
        if lanes:
            losses = vmap(loss)(parameters, tensors, inputs)
        else:
            [one], [two] = (
                [{name: each[0] for name, each in held.items()}] for held in (parameters, tensors)
            )
            losses = loss(one, two, inputs[0])[None]
    found = torch.autograd.grad((losses * wanted).sum(), [inputs, *parameters.values()])
    ran = {each.key.removeprefix("aten::") for each in seen.key_averages()}
    return [losses, *found, *tensors.values()], ran


def assert_same(make: Layers, shape: tuple[int, ...], *, lanes: bool) -> tuple[set[str], set[str]]:
    (expected, theirs), (found, ours) = (
        outcome(make, shape, ours=each, lanes=lanes) for each in (False, True)
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-4, atol=2e-4)
    return theirs, ours


SMALL = (4, 3, 6, 7)


@pytest.mark.parametrize("make", [norm(), norm(momentum=0.4), norm(track_running_stats=False)])
def test_normalisations_of_lanes_are_pytorchs_but_for_the_order_of_sums(make: Layers) -> None:
    theirs, ours = assert_same(make, SMALL, lanes=True)
    assert "batch_norm" in theirs
    assert "batch_norm" not in ours


@pytest.mark.parametrize(
    "make", [convolution(3), convolution(5, channels=1), convolution(1), convolution(3, bias=False),
             convolution(3, padding="same")],
)  # fmt: skip
def test_convolutions_of_lanes_are_pytorchs_but_for_the_order_of_sums(make: Layers) -> None:
    theirs, ours = assert_same(make, (4, make().in_channels, 6, 7), lanes=True)
    assert "conv2d" in theirs
    assert "conv2d" not in ours


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (convolution(3, stride=2), SMALL),
        (convolution(3, padding=0), SMALL),
        (convolution(3, padding=2, dilation=2), SMALL),
        (convolution(2, padding=0), SMALL),
        (convolution(3, channels=4, groups=2), (4, 4, 6, 7)),
        (convolution(3, channels=4), (4, 4, 6, 7)),
        (norm(affine=False), SMALL),
        (norm(CHANNELS + 1), (4, CHANNELS + 1, 6, 7)),
        (lambda: norm()().eval(), SMALL),
    ],
)
def test_other_layers_of_lanes_are_left_to_pytorch(make: Layers, shape: tuple[int, ...]) -> None:
    theirs, ours = assert_same(make, shape, lanes=True)
    assert ours & {"conv2d", "batch_norm"} == theirs & {"conv2d", "batch_norm"} != set()


@pytest.mark.parametrize(("values", "is_ours"), [(VALUES, True), (VALUES // 2, False)])
def test_only_normalisations_of_many_values_are_ours_in_a_model_alone(
    values: int, is_ours: bool
) -> None:
    theirs, ours = assert_same(norm(momentum=None), (values // 64, 3, 8, 8), lanes=False)
    assert "batch_norm" in theirs
    assert ("batch_norm" not in ours) == is_ours


def test_one_value_a_channel_is_refused_as_ever() -> None:
    with FewChannels(lanes=True), pytest.raises(ValueError, match="more than 1 value per channel"):
        nn.BatchNorm2d(3)(torch.ones(1, 3, 1, 1))
