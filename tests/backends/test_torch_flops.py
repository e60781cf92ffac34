"""What the counter counts, beside sums by hand, and that it names what it cannot count."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from greenbench.backends.torch_flops import FlopCounter
from greenbench.errors import UncountedFlopsError

SAMPLES, STEPS, INPUTS, HIDDEN = 2, 5, 6, 8
SEQUENCE = (SAMPLES, STEPS, INPUTS)

Run = Callable[[], Tensor]


def counted(run: Run) -> int:
    """Return the FLOPs of a forward and a backward pass."""
    with FlopCounter() as counter:
        output = run()
        if output.requires_grad:
            output.abs().sum().backward()  # type: ignore[no-untyped-call]
    return counter.total


def parameter(*shape: int) -> Tensor:
    return nn.Parameter(torch.randn(*shape))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_count_a_product_a_step(
    kind: Any, gates: int, directions: int, layers: int
) -> None:
    network = kind(INPUTS, HIDDEN, layers, batch_first=True, bidirectional=directions == 2)
    steps, forward, saved = SAMPLES * STEPS, 0, 0
    for layer in range(layers):
        width = INPUTS if layer == 0 else directions * HIDDEN
        of_input = 2 * steps * gates * HIDDEN * width * directions
        forward += of_input + 2 * steps * gates * HIDDEN * HIDDEN * directions
        # Neither the data nor the first state, which is 0, need a gradient.
        saved += of_input * (layer == 0) + 2 * SAMPLES * gates * HIDDEN * HIDDEN * directions
    assert counted(lambda: network(torch.randn(SEQUENCE))[0]) == 3 * forward - saved


def test_counting_leaves_the_kernels_as_they_were() -> None:
    network = nn.LSTM(INPUTS, HIDDEN)
    counted(lambda: network(torch.randn(SEQUENCE))[0])
    assert (torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled) == (True, True)


def in_inference_mode() -> Tensor:
    with torch.inference_mode():
        return nn.Linear(INPUTS, HIDDEN)(torch.randn(SAMPLES, INPUTS))


PRODUCT = 2 * 3 * 4

COUNTED: dict[str, tuple[Run, int]] = {
    "matrix by vector": (lambda: torch.randn(3, 4) @ parameter(4), 2 * PRODUCT),
    "vector by vector": (lambda: torch.randn(12) @ parameter(12), PRODUCT),
    "sum and matrix by vector": (
        lambda: torch.addmv(torch.randn(3), torch.randn(3, 4), parameter(4)),
        2 * PRODUCT,
    ),
    "sum of products": (
        lambda: torch.addbmm(torch.zeros(3, 5), torch.randn(2, 3, 4), torch.randn(2, 4, 5)),
        2 * 5 * PRODUCT,
    ),
    "in place": (
        lambda: torch.zeros(3, 5).addmm_(torch.randn(3, 4), torch.randn(4, 5)),
        5 * PRODUCT,
    ),
    "inference mode": (in_inference_mode, 2 * SAMPLES * INPUTS * HIDDEN),
    "element by element": (lambda: (parameter(3, 4) * torch.randn(3, 4)).cumsum(0).sort()[0], 0),
    "embedding": (lambda: nn.EmbeddingBag(9, 3)(torch.ones(2, 4, dtype=torch.int64)), 0),
    "interpolated": (lambda: F.interpolate(parameter(1, 3, 8, 8), size=4, mode="bicubic"), 0),
}


@pytest.mark.parametrize("name", COUNTED)
def test_products_count_two_a_multiply_add_whatever_operator_computes_them(name: str) -> None:
    run, expected = COUNTED[name]
    assert counted(run) == expected


@torch.library.custom_op("greenbench_tests::product", mutates_args=())
def product(first: Tensor, second: Tensor) -> Tensor:
    return first @ second


class ScriptedLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.LSTM(INPUTS, HIDDEN)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.inner(images)[0]
        return outputs


def by_numpy() -> Tensor:
    return parameter(3, 3) + torch.from_numpy(torch.randn(3, 3).numpy() @ torch.ones(3, 3).numpy())


UNKNOWN: dict[str, tuple[Run, str]] = {
    "bilinear": (lambda: nn.Bilinear(3, 3, 2)(*torch.randn(2, 4, 3)), "aten._trilinear"),
    "fourier": (lambda: torch.fft.rfft2(parameter(2, 8, 8)), "aten._fft_r2c"),
    "solve": (
        lambda: torch.linalg.solve(parameter(3, 3), torch.randn(3, 1)),
        "aten._linalg_solve_ex",
    ),
    "distances": (lambda: torch.cdist(parameter(3, 4), torch.randn(5, 4), p=1), "_cdist_forward"),
    "sparse": (lambda: torch.randn(3, 3).to_sparse() @ parameter(3, 2), "aten.mm of sparse"),
    "complex": (
        lambda: torch.view_as_complex(parameter(3, 3, 2)) @ torch.ones(3, 3, dtype=torch.cfloat),
        "aten.mm of sparse or complex numbers",
    ),
    "another library's": (lambda: product(torch.randn(3, 3), torch.ones(3, 3)), "tests.product"),
    "torchvision's": (
        lambda: torchvision.ops.deform_conv2d(
            torch.randn(1, 3, 8, 8), torch.randn(1, 18, 6, 6), torch.randn(4, 3, 3, 3)
        ),
        "torchvision.deform_conv2d",
    ),
    "scripted": (
        lambda: torch.jit.script(ScriptedLSTM())(torch.randn(SEQUENCE)),
        "aten.mkldnn_rnn_layer",
    ),
    "numpy's": (by_numpy, "Tensor.numpy"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", UNKNOWN)
def test_what_no_formula_knows_is_named_and_not_counted_as_0(name: str) -> None:
    run, operator = UNKNOWN[name]
    with pytest.raises(UncountedFlopsError) as caught:
        counted(run)
    assert operator in str(caught.value)
    assert "\n" not in str(caught.value)


def image(channels: int, dimensions: int) -> Tensor:
    return torch.randn(2, channels, *[6] * dimensions)


CONVOLUTIONS = [
    (kind, dimensions)
    for dimensions in (1, 2, 3)
    for kind in (f"Conv{dimensions}d", f"ConvTranspose{dimensions}d")
]


def with_weights() -> dict[str, Run]:
    """Return each class of layers of torch that multiplies by a matrix of weights."""
    tokens = torch.randn(STEPS, SAMPLES, HIDDEN)
    return {
        **{
            kind: lambda kind=kind, n=n: getattr(nn, kind)(3, 4, 3)(image(3, n))  # type: ignore[misc]
            for kind, n in CONVOLUTIONS
        },
        "LSTMCell": lambda: nn.LSTMCell(INPUTS, HIDDEN)(torch.randn(SAMPLES, INPUTS))[0],
        "GRUCell": lambda: nn.GRUCell(INPUTS, HIDDEN)(torch.randn(SAMPLES, INPUTS)),
        "RNNCell": lambda: nn.RNNCell(INPUTS, HIDDEN)(torch.randn(SAMPLES, INPUTS)),
        "MultiheadAttention": lambda: nn.MultiheadAttention(HIDDEN, 2)(tokens, tokens, tokens)[0],
        "Transformer": lambda: nn.Transformer(HIDDEN, 2, 1, 1, 16)(tokens, tokens),
        "Linear": lambda: nn.Linear(INPUTS, HIDDEN)(torch.randn(INPUTS)),
        "AdaptiveLogSoftmaxWithLoss": lambda: nn.AdaptiveLogSoftmaxWithLoss(HIDDEN, 20, [5])(
            torch.randn(2, HIDDEN), torch.tensor([1, 12])
        )[0],
        "projected LSTM": lambda: nn.LSTM(INPUTS, HIDDEN, proj_size=3)(torch.randn(SEQUENCE))[0],
        "packed LSTM": lambda: (
            nn.LSTM(INPUTS, HIDDEN)(
                nn.utils.rnn.pack_padded_sequence(torch.randn(5, 2, INPUTS), torch.tensor([5, 3]))
            )[0].data
        ),
    }


@pytest.mark.parametrize("name", with_weights())
def test_layers_with_weights_count_something(name: str) -> None:
    assert counted(with_weights()[name]) > 0
