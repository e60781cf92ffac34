"""Each layer is the same in torch and Keras: counts, outputs, and what steps make of weights."""

import math
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from greenbench.architectures import (
    GELU,
    Attention,
    BatchNorm,
    Conv,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Linear,
    PatchEmbedding,
    PositionEmbedding,
    ReLU,
    Residual,
    SiLU,
    Spec,
    build_architecture,
)
from greenbench.backends import Backend
from greenbench.backends.base import BuildRequest
from greenbench.backends.keras import KerasBackend
from greenbench.backends.keras_spec import from_neutral, sequential, to_neutral
from greenbench.backends.torch_flops import FlopCounter
from greenbench.backends.torch_spec import network
from greenbench.datasets.base import Dataset

SAMPLES, VOCABULARY = 8, 11
IMAGE, TOKENS, VECTOR = (2, 6, 9), (7,), (5,)
Arrays = list[NDArray[np.float32]]

NETWORKS: Mapping[str, tuple[tuple[int, ...], list[Layer]]] = {
    "strides": (
        IMAGE,
        [Conv(4, 3, 2), SiLU(), Conv(4, 4, 2), Conv(3, 1, 2), Flatten(), Linear(4)],
    ),
    "groups": (IMAGE, [Conv(4), Conv(8, 3, groups=2), Conv(8, 3, 2, 8), Flatten(), Linear(4)]),
    "residuals": (
        IMAGE,
        [
            *(Conv(4, bias=False), BatchNorm(), ReLU()),
            Residual([Conv(4), ReLU(), Conv(4, bias=False)]),
            Residual(
                [Conv(6, 3, 2), Residual([ReLU(), Conv(6)]), Conv(6)], [Conv(6, 1, 2, bias=False)]
            ),
            *(ReLU(), GlobalPool(), Linear(4)),
        ],
    ),
    "patches": (
        IMAGE,
        [PatchEmbedding(3, 8), PositionEmbedding(), Attention(2), Flatten(), Linear(4)],
    ),
    "transformer": (
        IMAGE,
        [
            PatchEmbedding(3, 8),
            Residual([LayerNorm(0.01), Attention(4)]),
            Residual([LayerNorm(), Linear(16), GELU(), Linear(8)]),
            *(LayerNorm(), Dropout(0.0), GlobalPool(), Linear(4)),
        ],
    ),
    "text": (
        TOKENS,
        [Embedding(VOCABULARY, 6), PositionEmbedding(), Attention(3, causal=True), Linear(4)],
    ),
    "vectors": (VECTOR, [LayerNorm(), Linear(8), GELU(), LayerNorm(), Linear(4)]),
    "sequences": ((7, 5), [Attention(1), SiLU(), Linear(6), GlobalPool(), Linear(4)]),
}
FAMILIES = {
    "resnet_small": (IMAGE, {"dropout": 0.5}),
    "vit_small": (IMAGE, {"dropout": 0.5}),
    "gpt_small": (TOKENS, {"dropout": 0.5}),
    "mlp": (VECTOR, {"dropout": 0.5}),
}


def built(name: str) -> Spec:
    if name in NETWORKS:
        return Spec(name, *NETWORKS[name])
    shape, options = FAMILIES[name]
    outputs = (*shape, 4) if shape == TOKENS else 4
    vocabulary = VOCABULARY if shape == TOKENS else None
    spec = build_architecture(
        name, shape, outputs, size="xs", options=options, vocabulary=vocabulary
    )
    assert isinstance(spec, Spec)
    return spec


class Pair:
    """One spec as a torch module and as a Keras model, with equal weights."""

    def __init__(self, spec: Spec, data_format: str = "channels_first") -> None:
        generator = np.random.default_rng(0)
        shape = (SAMPLES, *spec.input_shape)
        self.spec = spec
        self.inputs: Any = generator.random(shape, np.float32)
        if spec.vocabulary:
            self.inputs = generator.integers(0, spec.vocabulary, shape)
        self.targets = generator.integers(0, 4, (SAMPLES, *spec.outputs[:-1]))
        self.torch = network(spec, torch.device("cpu"))
        self.keras = sequential(spec, data_format)
        self.is_last = data_format == "channels_last" and len(spec.input_shape) == 3
        weights = spec.initial_weights(1)
        with torch.no_grad():
            for tensor, values in zip(self._tensors(), weights, strict=True):
                tensor.copy_(torch.from_numpy(values))
        for variable, values in zip(self.keras.weights, weights, strict=True):
            variable.assign(from_neutral(variable, values))

    def _tensors(self) -> list[torch.Tensor]:
        found: list[torch.Tensor] = []
        for module in self.torch.modules():
            running = (b for n, b in module.named_buffers(recurse=False) if "running" in n)
            found += chain(module.parameters(recurse=False), running)
        return found

    def weights(self) -> tuple[Arrays, Arrays]:
        ours = [tensor.detach().numpy() for tensor in self._tensors()]
        theirs = [
            to_neutral(variable, variable.value.detach().cpu().numpy())
            for variable in self.keras.weights
        ]
        return ours, theirs

    def outputs(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.torch.eval()
        moved = self.inputs.transpose(0, 2, 3, 1) if self.is_last else self.inputs
        with torch.no_grad():
            ours = self.torch(torch.from_numpy(self.inputs)).numpy()
        return ours, self.keras.predict_on_batch(moved)

    def loss(self) -> torch.Tensor:
        self.torch.train()
        outputs = self.torch(torch.from_numpy(self.inputs))
        targets = torch.from_numpy(self.targets).flatten()
        return cross_entropy(outputs.flatten(0, -2), targets)

    def train(self, steps: int, ours: Callable[..., torch.optim.Optimizer], theirs: Any) -> None:
        import keras  # noqa: PLC0415

        optimizer = ours(self.torch.parameters())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.keras.compile(optimizer=theirs, loss=loss)
        for _ in range(steps):
            optimizer.zero_grad()
            self.loss().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            self.keras.train_on_batch(self.inputs, self.targets)


@pytest.fixture(autouse=True, scope="module")
def _engine() -> None:
    KerasBackend("keras", threads=1)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("name", [*NETWORKS, *FAMILIES])
def test_outputs_are_equal(name: str, data_format: str) -> None:
    pair = Pair(built(name), data_format)
    ours, theirs = pair.outputs()
    assert ours.shape == (SAMPLES, *pair.spec.outputs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", [*NETWORKS, *FAMILIES])
def test_counts_are_torchs_and_kerass(name: str) -> None:
    pair = Pair(built(name))
    trained = sum(each.numel() for each in pair.torch.parameters())
    of_keras = sum(math.prod(each.shape) for each in pair.keras.trainable_variables)
    assert pair.spec.parameters == trained == of_keras
    with FlopCounter() as ours:
        pair.loss().backward()  # type: ignore[no-untyped-call]
    with FlopCounter() as theirs:
        pair.keras(torch.from_numpy(pair.inputs), training=True).sum().backward()
    assert pair.spec.train_flops * SAMPLES == ours.total == theirs.total


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_of_adam_gives_the_same_weights(name: str) -> None:
    import keras  # noqa: PLC0415

    # Keras adds epsilon before the bias correction, torch after it: so chosen, both are the same
    # in the first step. Large, since Adam makes full steps of rounding errors else.
    pair, epsilon = Pair(built(name)), 1e-3
    pair.train(
        1,
        lambda parameters: torch.optim.Adam(parameters, 1e-3, eps=epsilon),
        keras.optimizers.Adam(1e-3, epsilon=epsilon * math.sqrt(1 - 0.999)),
    )
    assert_same(*pair.weights(), pair.spec)


@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_give_the_same_weights(name: str) -> None:
    import keras  # noqa: PLC0415

    pair = Pair(built(name))
    before = [each.copy() for each in pair.weights()[0]]
    # At a larger rate some of them diverge, and rounding errors with them.
    rate = 0.02
    pair.train(20, lambda parameters: torch.optim.SGD(parameters, rate), keras.optimizers.SGD(rate))
    after, _ = pair.weights()
    assert_same(*pair.weights(), pair.spec)
    assert any(np.abs(old - new).max() > 1e-3 for old, new in zip(before, after, strict=True))


def assert_same(ours: Arrays, theirs: Arrays, spec: Spec) -> None:
    # Torch keeps the unbiased variance, Keras the biased one: a factor of n/(n-1).
    has_variance = any(isinstance(each.layer, BatchNorm) for each in spec.leaves)
    for one, other in zip(ours, theirs, strict=True):
        is_positive = has_variance and one.ndim == 1 and bool((one > 0).all())
        np.testing.assert_allclose(one, other, rtol=5e-3 if is_positive else 0, atol=1e-6)


def test_image_of_outputs_has_its_channels_first_in_every_layout() -> None:
    pair = Pair(Spec("pixels", IMAGE, [Conv(3), ReLU(), Conv(4, 1)]), "channels_last")
    ours, theirs = pair.outputs()
    assert ours.shape == (SAMPLES, 4, 6, 9)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_tokens_see_no_later_ones_where_attention_is_causal() -> None:
    pair = Pair(built("text"))
    before, _ = pair.outputs()
    pair.inputs = pair.inputs.copy()
    pair.inputs[:, 4] = (pair.inputs[:, 4] + 1) % VOCABULARY
    for after in pair.outputs():
        np.testing.assert_allclose(before[:, :4], after[:, :4], rtol=0, atol=1e-6)
        assert np.abs(before[:, 4:] - after[:, 4:]).max() > 1e-4


def test_what_is_dropped_hangs_on_the_seed_and_on_no_other_model(
    backend: Backend, digits: Dataset
) -> None:
    spec = Spec("dropping", digits.input_shape, [Flatten(), Dropout(0.5), Linear(digits.classes)])
    order = np.arange(128)

    def curve(seed: int, *, is_disturbed: bool) -> list[float]:
        model = backend.build(BuildRequest(spec, seed=seed))
        losses = []
        for _ in range(3):
            losses.append(model.train_epoch(order))
            if is_disturbed:
                backend.build(BuildRequest(spec, seed=9)).train_epoch(order)
        return losses

    alone = curve(1, is_disturbed=False)
    assert curve(1, is_disturbed=True) == alone
    assert curve(2, is_disturbed=False) != alone
    without = Spec("keeping", digits.input_shape, [Flatten(), Linear(digits.classes)])
    assert backend.build(BuildRequest(without, seed=1)).train_epoch(order) != alone[0]
