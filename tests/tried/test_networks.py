"""Networks and other parts that people get wrong, through the command line: one line says it."""

import re
from pathlib import Path

import pytest

from tests.conftest import Greenbench

pytestmark = pytest.mark.integration

PLUGIN = """
import math
import warnings
from dataclasses import replace

import numpy as np

from greenbench import (
    register_architecture, register_dataset, register_strategy, register_suite
)
from greenbench.architectures import Linear, Spec, native
from greenbench.datasets import make_dataset
from greenbench.datasets.base import RawImages


def torch_net(name):
    return lambda function: register_architecture(name)(native("torch")(function))


def keras_net(name):
    return lambda function: register_architecture(name)(native("keras")(function))


def mlp(image_shape, classes):
    from torch import nn
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(image_shape), 32), nn.ReLU(), nn.Linear(32, classes)
    )


def net(shape, classes, forward):
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = mlp(shape, classes)
            self.spare = nn.Linear(2, 2).requires_grad_(False)

        def forward(self, images):
            return forward(self, images)

    return Net()


made = {}


@torch_net("same_module")
def same_module(shape, classes):
    return made.setdefault(shape, mlp(shape, classes))


@torch_net("thousand_outputs")
def thousand_outputs(shape, classes):
    return mlp(shape, 1000)


@torch_net("too_few_outputs")
def too_few_outputs(shape, classes):
    return mlp(shape, 5)


@torch_net("softmax")
def softmax(shape, classes):
    return net(shape, classes, lambda self, images: self.layers(images).softmax(1))


@torch_net("returns_none")
def returns_none(shape, classes):
    mlp(shape, classes)


@torch_net("returns_class")
def returns_class(shape, classes):
    return type(mlp(shape, classes))


@torch_net("nothing_to_train")
def nothing_to_train(shape, classes):
    return mlp(shape, classes).requires_grad_(False)


@torch_net("tuple")
def gives_tuple(shape, classes):
    return net(shape, classes, lambda self, images: (self.layers(images), None))


@torch_net("half")
def half(shape, classes):
    return net(shape, classes, lambda self, images: self.layers(images).half())


@torch_net("unused")
def unused(shape, classes):
    network = mlp(shape, classes)
    from torch import nn
    network.register_parameter("spare", nn.Parameter(network[1].bias.detach().clone()))
    return network


@torch_net("wrong_attribute")
def wrong_attribute(shape, classes):
    return net(shape, classes, lambda self, images: self.head(images))


@torch_net("wrong_sizes")
def wrong_sizes(shape, classes):
    from torch import nn
    return nn.Sequential(nn.Flatten(), nn.Linear(7, classes))


@torch_net("wrong_signature")
def wrong_signature(shape):
    return mlp(shape, 10)


@register_architecture("wrong_spec")
def wrong_spec(shape, classes):
    return Spec("wrong_spec", shape, [Linear(classes)])


@register_architecture("undeclared")
def undeclared(shape, classes):
    return mlp(shape, classes)


@torch_net("sigmoid")
def sigmoid(shape, classes):
    warnings.warn("old layers")
    return net(shape, classes, lambda self, images: self.layers(images).sigmoid())


@torch_net("fails_later")
def fails_later(shape, classes):
    made["builds"] = made.get("builds", 0) + 1
    is_late = made["builds"] > 2

    def forward(self, images):
        if is_late:
            raise KeyError("layer")
        return self.layers(images)

    return net(shape, classes, forward)


@torch_net("plain")
def plain(shape, classes):
    return mlp(shape, classes)


@keras_net("keras_softmax")
def keras_softmax(shape, classes):
    from keras import Sequential, layers
    return Sequential([layers.Flatten(), layers.Dense(classes, activation="softmax")])


@keras_net("keras_same")
def keras_same(shape, classes):
    from keras import Sequential, layers
    return made.setdefault("keras", Sequential([layers.Flatten(), layers.Dense(classes)]))


@keras_net("keras_torch_module")
def keras_torch_module(shape, classes):
    return mlp(shape, classes)


def pictures(context):
    pixels = np.random.default_rng(0).integers(0, 256, (80, 1, 4, 4))
    return make_dataset("own", "noise", RawImages(pixels, np.arange(80) % 4), seed=context.seed)


@register_dataset("raises")
def raises(context):
    return pictures(context).no_such_field


@register_dataset("tokens")
def tokens(context):
    dataset = pictures(context)
    many = replace(dataset.validation, targets=np.repeat(dataset.validation.labels[:, None], 9, 1))
    return replace(dataset, validation=many)


@register_dataset("returns_nothing")
def returns_nothing(context):
    pictures(context)


@register_strategy("stumbles")
class Stumbles:
    def __init__(self, space, *, trials, seed):
        self.space = space

    def ask(self):
        return self.space.no_such_method()

    def tell(self, hyperparameters, score):
        pass


@register_strategy("no_seed")
class NoSeed:
    def __init__(self, space):
        self.space = space


@register_suite("broken")
def broken():
    return [case for case in undefined]


@register_suite("named")
def named():
    return ["default-plain-torch-digits"]
"""


@pytest.fixture
def parts(greenbench: Greenbench, tmp_path: Path) -> Greenbench:
    """The command line with the plugin installed."""
    info = tmp_path / "site" / "tried_networks-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tried-networks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\ntried = tried_networks\n")
    (tmp_path / "site" / "tried_networks.py").write_text(PLUGIN)
    greenbench.environment["PYTHONPATH"] = str(tmp_path / "site")
    return greenbench


def place(text: str) -> str:
    line = 1 + [line.strip() for line in PLUGIN.splitlines()].index(text.strip())
    return f"site/tried_networks.py:{line}"


def run(parts: Greenbench, *arguments: str) -> "tuple[int, list[str]]":
    """Return the exit code and the errors."""
    done = parts("run", *arguments, "--repeats", "1", "--epochs", "1")
    assert "Traceback" not in done.stdout + done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    return done.returncode, [line for line in lines if line.startswith(("Error: ", "Warning: "))]


REFUSED = {
    "same_module": "the same network as before",
    "thousand_outputs": r"outputs of shape \(64, 1000\)",
    "too_few_outputs": r"outputs of shape \(64, 5\)",
    "softmax": "ends in a softmax",
    "returns_none": "returned None",
    "returns_class": "returned the class Sequential",
    "nothing_to_train": "nothing to train",
    "tuple": "a tuple of 2",
    "half": "type float16",
    "unused": "parameter spare never gets a gradient",
    "wrong_sizes": "RuntimeError: .*mat1 and mat2 shapes cannot be multiplied",
    "wrong_signature": "TypeError: .*positional argument",
    "undeclared": "returned Sequential; expected a Spec; declare with @native",
    "wrong_spec": "Linear needs a vector",
    "wrong_attribute": "AttributeError: 'Net' object has no attribute 'head'",
}


def test_torch_networks_that_cannot_learn_the_classes_are_refused(parts: Greenbench) -> None:
    named = [argument for name in REFUSED for argument in ("-a", name)]

    code, errors = run(parts, *named)

    assert code == 2
    assert len(errors) == len(REFUSED)
    for name, cause in REFUSED.items():
        (error,) = [line for line in errors if re.search(rf"\b{name}\b", line)]
        assert re.search(cause, error)
        assert "tried_networks.py:" in error
    (attribute,) = [line for line in errors if "'head'" in line]
    line = "    return net(shape, classes, lambda self, images: self.head(images))"
    assert attribute.endswith(f"({place(line)})")
    (spec,) = [line for line in errors if "wrong_spec" in line]
    line = '    return Spec("wrong_spec", shape, [Linear(classes)])'
    assert spec.endswith(f"({place(line)})")
    # Nothing was trained, so nothing is left.
    assert parts.journals == []


def test_keras_networks_that_cannot_learn_the_classes_are_refused(parts: Greenbench) -> None:
    names = {
        "keras_softmax": "ends in a softmax",
        "keras_same": "the same network as before",
        "keras_torch_module": "returned a Sequential; expected a keras.Model",
    }
    named = [argument for name in names for argument in ("-a", name)]

    code, errors = run(parts, "-b", "keras", *named)

    assert code == 2
    assert len(errors) == len(names)
    for name, cause in names.items():
        decorator = place(f'@keras_net("{name}")')
        (error,) = [line for line in errors if f"'{name}' ({decorator})" in line]
        assert re.search(cause, error)


def test_what_looks_like_a_mistake_is_said_once_with_its_place(parts: Greenbench) -> None:
    code, warned = run(parts, "-a", "sigmoid", "--trials", "2", "-s", "random")

    assert code == 0
    old, alone = sorted(warned, key=lambda line: "sigmoid" in line)
    warning, network = place('warnings.warn("old layers")'), place('@torch_net("sigmoid")')
    assert old == f"Warning: UserWarning: old layers ({warning})"
    assert f"'sigmoid' ({network}) gives values between 0 and 1" in alone


def test_error_in_a_trial_names_the_line(parts: Greenbench) -> None:
    code, errors = run(parts, "-a", "fails_later")

    assert code == 1
    line = place('raise KeyError("layer")')
    assert errors[0].endswith(f"KeyError: 'layer' ({line})")


DATASETS = {
    "raises": (
        "dataset 'raises' failed: AttributeError: 'Dataset' object has no attribute",
        "return pictures(context).no_such_field",
    ),
    "returns_nothing": (
        "dataset 'returns_nothing' returned NoneType; expected a Dataset",
        '@register_dataset("returns_nothing")',
    ),
    "tokens": (
        r"dataset 'own': validation has labels of shape \(\d+, 9\) .* a class an image",
        '@register_dataset("tokens")',
    ),
}
STRATEGIES = {
    "stumbles": (
        "strategy 'stumbles' failed: AttributeError: 'SearchSpace' object has no attribute",
        "return self.space.no_such_method()",
    ),
    "no_seed": (
        "strategy 'no_seed' failed: TypeError: .* unexpected keyword argument",
        '@register_strategy("no_seed")',
    ),
}
SUITES = {
    "broken": (
        "suite 'broken' failed: NameError: name 'undefined' is not defined",
        "return [case for case in undefined]",
    ),
    "named": (
        "suite 'named' returned 'default-plain-torch-digits'; expected a list of Case",
        '@register_suite("named")',
    ),
}


@pytest.mark.parametrize(
    ("kind", "known"),
    [("-d", DATASETS), ("-s", STRATEGIES)],
    ids=["data sets", "strategies"],
)
def test_other_parts_that_fail_name_the_line(
    parts: Greenbench, kind: str, known: dict[str, tuple[str, str]]
) -> None:
    named = [argument for name in known for argument in (kind, name)]

    code, errors = run(parts, "-a", "plain", *named)

    assert code == 2
    assert len(errors) == len(known)
    for cause, line in known.values():
        (error,) = [each for each in errors if re.search(cause, each)]
        assert f"({place(line)})" in error


@pytest.mark.parametrize("suite", SUITES)
def test_suite_that_fails_names_the_line(parts: Greenbench, suite: str) -> None:
    code, (error,) = run(parts, suite)

    cause, line = SUITES[suite]
    assert code == 2
    assert re.search(cause, error)
    assert error.endswith(f"({place(line)})")
