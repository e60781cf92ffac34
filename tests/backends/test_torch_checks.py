"""What a native torch module must be and give, checked before anything is trained."""

import inspect
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from greenbench.architectures import Flatten, Linear, Native, Spec
from greenbench.backends.base import AdamOptions, BuildRequest, sample_order
from greenbench.backends.torch import TorchBackend
from greenbench.backends.torch_data import Held
from greenbench.datasets.base import Dataset, Split
from greenbench.errors import ArchitectureError, ArchitectureWarning

PIXELS, CLASSES, BATCH = 256, 10, 32


@pytest.fixture
def backend(digits: Dataset) -> TorchBackend:
    backend = TorchBackend("torch", threads=1)
    backend.load(digits)
    return backend


def build(backend: TorchBackend, builder: Callable[[], Any], **changed: Any) -> Any:
    request = BuildRequest(Native("mine", "torch", builder), batch_size=BATCH)
    return backend.build(replace(request, **changed))


def refusal(backend: TorchBackend, builder: Callable[[], Any], **changed: Any) -> str:
    with pytest.raises(ArchitectureError) as caught:
        build(backend, builder, **changed)
    message = str(caught.value)
    assert "\n" not in message
    line = inspect.getsourcelines(builder)[1]
    assert re.search(rf"'mine' \(\S*test_torch_checks\.py:{line}\)", message)
    return message


def mlp(outputs: int = CLASSES) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 16), nn.ReLU(), nn.Linear(16, outputs))


class Giving(nn.Module):
    """A network that does something to its outputs."""

    def __init__(self, change: Callable[[Tensor], Any], outputs: int = CLASSES) -> None:
        super().__init__()
        self.change, self.layers = change, mlp(outputs)

    def forward(self, images: Tensor) -> Any:
        return self.change(self.layers(images))


class ImageClassifierOutput(OrderedDict[str, Tensor]):
    """As libraries return it: a dict with its keys as attributes."""

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Net(nn.Module):
    pass


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, r"returned None; expected a torch.nn.Module; end the function with `return model`"),
        (Net, r"returned the class Net; expected .*; return `Net\(\.\.\.\)`, not the class"),
        ((1, 2), "returned a tuple of 2; expected a torch.nn.Module"),
        (torch.zeros(3), "returned a Tensor; expected a torch.nn.Module"),
        (
            Spec("mine", (1, 16, 16), [Flatten(), Linear(2)]),
            r"returned a Spec; .*; leave @native\('torch'\) out",
        ),
        (nn.Sequential(nn.Flatten()), "has nothing to train"),
        (mlp().requires_grad_(requires_grad=False), "has nothing to train"),
    ],
    ids=["none", "class", "tuple", "tensor", "spec", "no parameters", "frozen"],
)
def test_builder_that_returns_no_module_to_train_is_refused(
    backend: TorchBackend, returned: Any, expected: str
) -> None:
    assert re.search(expected, refusal(backend, lambda: returned))


def test_keras_model_is_refused_by_the_name_of_its_framework(
    backend: TorchBackend, keras_backend: Any
) -> None:
    def network() -> Any:
        from keras import Sequential, layers  # noqa: PLC0415

        return Sequential([layers.Flatten(), layers.Dense(CLASSES)])

    assert "write @native('keras')" in refusal(backend, network)


@pytest.mark.parametrize(
    ("change", "outputs", "expected"),
    [
        (
            lambda y: (y, y),
            CLASSES,
            r"gives a tuple of 2 .* expected one tensor of shape \(32, 10\)",
        ),
        (lambda y: [y], CLASSES, "gives a list of 1"),
        (lambda y: {"out": y, "aux": y}, CLASSES, r"a dict with the keys out, aux .*`\.out`"),
        (lambda y: ImageClassifierOutput(logits=y), CLASSES, r"ImageClassifierOutput .*`\.logits`"),
        (lambda y: None, CLASSES, "gives None"),
        (lambda y: y.detach().numpy(), CLASSES, "gives a ndarray"),
        (lambda y: y, 1000, r"outputs of shape \(32, 1000\) .* give the last layer 10 outputs"),
        (lambda y: y, 5, r"outputs of shape \(32, 5\) for 32 images of 10 classes"),
        (lambda y: y[:, 0], CLASSES, r"outputs of shape \(32,\)"),
        (lambda y: y.mean(), CLASSES, r"outputs of shape \(\) "),
        (lambda y: y[..., None, None].expand(-1, -1, 4, 4), CLASSES, r"\(32, 10, 4, 4\).*a pixel"),
        (lambda y: y.view(-1, CLASSES), 80, r"outputs of shape \(256, 10\) for 32 images"),
        (lambda y: y.T, CLASSES, r"outputs of shape \(10, 32\)"),
        (lambda y: y.half(), CLASSES, "of type float16; expected float32"),
        (lambda y: y.bfloat16(), CLASSES, "of type bfloat16; expected float32"),
        (lambda y: torch.complex(y, y), CLASSES, "of type complex64"),
        (lambda y: y.round().long(), CLASSES, "of type int64"),
        (lambda y: y > 0, CLASSES, "of type bool"),
        (lambda y: y / 0, CLASSES, "not finite before it has learned"),
        (lambda y: (y - 1e3).sqrt(), CLASSES, "not finite before it has learned"),
        (lambda y: y.softmax(1), CLASSES, "ends in a softmax .* leave the softmax out"),
        (lambda y: y.softmax(0), CLASSES, "each column of its outputs sums to 1"),
        (lambda y: y.softmax(1), 2 * CLASSES, "give the last layer 10 outputs"),
        (lambda y: y.sigmoid() / y.sigmoid().sum(1, keepdim=True), CLASSES, "ends in a softmax"),
        (lambda y: y.detach(), CLASSES, "no parameter gets a gradient"),
    ],
)
def test_outputs_that_no_classifier_gives_are_refused(
    backend: TorchBackend, change: Callable[[Tensor], Any], outputs: int, expected: str
) -> None:
    assert re.search(expected, refusal(backend, lambda: Giving(change, outputs)))


def test_outputs_in_training_count_too(backend: TorchBackend) -> None:
    class Auxiliary(Giving):
        def forward(self, images: Tensor) -> Any:
            outputs = self.layers(images)
            return (outputs, outputs) if self.training else outputs

    assert "gives a tuple of 2" in refusal(backend, lambda: Auxiliary(lambda y: y))


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.log_softmax(1),
        lambda y: y.relu(),
        lambda y: y.tanh(),
        lambda y: y.double(),
        lambda y: y - y.max(),
    ],
    ids=["log_softmax", "relu", "tanh", "double", "below 0"],
)
def test_unusual_outputs_that_can_be_learned_pass_without_a_word(
    backend: TorchBackend, change: Callable[[Tensor], Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(backend, lambda: Giving(change))


def test_softmax_in_inference_alone_passes(backend: TorchBackend) -> None:
    class Kind(Giving):
        def forward(self, images: Tensor) -> Any:
            outputs = self.layers(images)
            return outputs if self.training else outputs.softmax(1)

    build(backend, lambda: Kind(lambda y: y))


def test_sigmoid_is_warned_of(backend: TorchBackend) -> None:
    with pytest.warns(
        ArchitectureWarning, match=r"'mine' \(\S+:\d+\) gives values between 0 and 1"
    ):
        build(backend, lambda: Giving(torch.sigmoid))


def test_output_in_the_precision_that_was_asked_for_passes(backend: TorchBackend) -> None:
    options = {"precision": "bfloat16"}
    build(backend, mlp, options=options)
    softmax = refusal(backend, lambda: Giving(lambda y: y.softmax(1).bfloat16()), options=options)
    assert "ends in a softmax" in softmax


class Unused(nn.Module):
    def __init__(self, *, is_frozen: bool = False) -> None:
        super().__init__()
        self.layers, self.spare = mlp(), nn.Linear(3, 3).requires_grad_(not is_frozen)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.layers(images)
        return outputs


class Mixture(nn.Module):
    """Each batch takes one of its experts; the last one is never chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(mlp() for _ in range(3))

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.experts[int(images.sum()) % 2](images)
        return outputs


def test_parameter_that_never_gets_a_gradient_is_named(backend: TorchBackend) -> None:
    message = refusal(backend, Unused)
    assert "parameter spare.weight, spare.bias never gets a gradient" in message
    build(backend, lambda: Unused(is_frozen=True))


def test_detached_part_is_named(backend: TorchBackend) -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = mlp(16), nn.Linear(16, CLASSES)

        def forward(self, images: Tensor) -> Tensor:
            with torch.no_grad():
                features = self.body(images)
            outputs: Tensor = self.head(features)
            return outputs

    message = refusal(backend, Detached)
    assert "parameter body.1.weight, body.1.bias, body.3.weight and 1 more never gets" in message


def test_expert_that_is_not_chosen_is_warned_of_alone(backend: TorchBackend) -> None:
    with pytest.warns(ArchitectureWarning, match=r"parameter experts\.2\.1\.weight"):
        build(backend, Mixture)


class Cached:
    """Builders that keep what they have made."""

    def __init__(self) -> None:
        self.network = mlp()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 16), nn.BatchNorm1d(16))

    def same(self) -> nn.Module:
        return self.network

    def wrapped(self) -> nn.Module:
        return nn.Sequential(self.network)

    def new_head(self) -> nn.Module:
        return nn.Sequential(self.body, nn.Linear(16, CLASSES))

    def new_head_on_a_frozen_body(self) -> nn.Module:
        return nn.Sequential(self.body.requires_grad_(requires_grad=False), nn.Linear(16, CLASSES))

    def same_storage(self) -> nn.Module:
        network = mlp()
        network.load_state_dict(self.network.state_dict(), assign=True)
        return network

    def copied(self) -> nn.Module:
        network = mlp()
        network.load_state_dict(self.network.state_dict())
        return network

    def frozen(self) -> nn.Module:
        return nn.Sequential(self.body[:2].requires_grad_(requires_grad=False), nn.Linear(16, 10))


@pytest.mark.parametrize(
    ("way", "what"),
    [
        ("same", "the same network"),
        ("wrapped", "the same network"),
        ("same_storage", "the same network"),
        ("new_head", "the same parameter 0.1.weight, 0.1.bias, 0.2.weight and 4 more"),
        ("new_head_on_a_frozen_body", "the same parameter 0.2.running_mean, 0.2.running_var"),
    ],
)
def test_builder_that_returns_what_was_trained_before_is_refused(
    backend: TorchBackend, way: str, what: str
) -> None:
    cached = Native("mine", "torch", getattr(Cached(), way))
    first = backend.build(BuildRequest(cached))
    with pytest.raises(ArchitectureError, match=rf"\(\S+:\d+\) returned {what}.* as before"):
        backend.build(BuildRequest(cached))
    with pytest.raises(ArchitectureError, match="as before"):
        backend.build_batch([BuildRequest(cached)] * 2)
    assert first.parameters


@pytest.mark.parametrize("way", ["copied", "frozen"])
def test_builder_that_shares_what_stays_as_it_is_passes(backend: TorchBackend, way: str) -> None:
    builder = getattr(Cached(), way)
    models = [build(backend, builder) for _ in range(3)]
    assert len({id(model) for model in models}) == 3


def test_networks_that_are_gone_are_mistaken_for_none(backend: TorchBackend) -> None:
    # Memory that becomes free is given out again, at the same addresses.
    for _ in range(20):
        build(backend, mlp)


def test_later_build_of_another_width_is_refused(backend: TorchBackend) -> None:
    widths = iter([CLASSES, CLASSES, 1000])
    native = Native("mine", "torch", lambda: mlp(next(widths)))
    for _ in range(2):
        backend.build(BuildRequest(native))
    with pytest.raises(ArchitectureError, match=r"outputs of shape \(64, 1000\)"):
        backend.build(BuildRequest(native))


class Normed(nn.Sequential):
    passes: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.BatchNorm1d(PIXELS), nn.Dropout(0.5), mlp())

    def forward(self, images: Tensor) -> Tensor:
        Normed.passes += 1
        images.mul_(2)
        outputs: Tensor = super().forward(images)
        return outputs


def test_check_leaves_no_trace_and_is_made_once(backend: TorchBackend, digits: Dataset) -> None:
    images = backend._splits["train"].inputs
    before = images.clone()
    request = BuildRequest(Native("mine", "torch", Normed), AdamOptions(), BATCH, seed=3)
    Normed.passes = 0
    checked = backend.build(request)
    assert Normed.passes == 2
    plain = backend.build(request)
    assert Normed.passes == 2
    assert torch.equal(images, before)
    for first, second in zip(checked.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    order = sample_order(len(digits.train), BATCH, 0, 0)[: 4 * BATCH]
    assert checked.train_epoch(order) == plain.train_epoch(order)
    for first, second in zip(checked.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_images_that_are_not_finite_are_not_the_networks_fault(digits: Dataset) -> None:
    broken = Split(np.full_like(digits.train.images, np.nan), digits.train.labels)
    backend = TorchBackend("torch", threads=1)
    backend.load(replace(digits, train=broken))
    build(backend, mlp)


def test_evaluation_counts_one_answer_an_image(backend: TorchBackend) -> None:
    class Changing(Giving):
        def forward(self, images: Tensor) -> Any:
            outputs = self.layers(images)
            return outputs if len(images) == BATCH else outputs[..., None].expand(-1, -1, 5)

    model = build(backend, lambda: Changing(lambda y: y))
    with pytest.raises(
        ArchitectureError, match=r"'mine' gives outputs of shape \(\d+, 10, 5\) for"
    ):
        model.evaluate("validation")


def test_evaluation_counts_one_label_an_image(backend: TorchBackend) -> None:
    model = build(backend, mlp)
    held = model._splits["validation"]
    model._splits = {"validation": Held(held.inputs, held.targets[:, None].expand(-1, 4))}
    with pytest.raises(ArchitectureError, match=r"for targets of shape \(\d+, 4\)"):
        model.evaluate("validation")
