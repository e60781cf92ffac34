"""Networks of torchvision, timm and keras.applications by name."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from greenbench import registry
from greenbench.architectures import Native, build_architecture, sizes_of
from greenbench.backends.keras import KerasBackend
from greenbench.cases import Case, split_network
from greenbench.errors import ArchitectureError, UnknownNameError

GREY, COLOURED = (1, 8, 8), (3, 40, 32)
Shape = tuple[int, int, int]
LISTS = """
import sys
from greenbench import registry
from greenbench.architectures import sizes_of
for name in ("torchvision", "keras"):
    print(name, *sizes_of(registry.architectures.get(name)))
heavy = {"torch", "torchvision", "keras", "timm"} & set(sys.modules)
assert not heavy, heavy
"""
ABSENT = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "timm" else find(name)
from greenbench.architectures import build_architecture
from greenbench.errors import MissingPackageError
try:
    build_architecture("timm", (1, 8, 8), 5, size="resnet10t")
except MissingPackageError as error:
    print(error)
"""


def build(library: str, network: str, shape: Shape) -> object:
    native = build_architecture(library, shape, 5, size=network)
    assert isinstance(native, Native)
    return native.build()


def test_names_are_known_without_an_import_of_the_library() -> None:
    done = subprocess.run([sys.executable, "-c", LISTS], capture_output=True, text=True, check=True)
    (_, *of_torchvision), (_, *of_keras) = map(str.split, done.stdout.splitlines())
    assert {"resnet18", "mobilenet_v2", "vit_b_16", "swin_t"} <= set(of_torchvision)
    assert {"mobilenet_v2", "resnet50", "resnet50_v2", "efficientnet_v2_b0"} <= set(of_keras)
    assert {"nasnet_mobile", "convnext_xlarge", "mobilenet_v3_small"} <= set(of_keras)


def test_names_are_torchvisions_own() -> None:
    from torchvision import models  # noqa: PLC0415

    names = sizes_of(registry.architectures.get("torchvision"))
    assert list(names) == sorted(models.list_models(module=models))


def test_network_is_named_as_a_size_is_and_so_is_its_case() -> None:
    architecture, size = split_network("torchvision.resnet18")
    case = Case(architecture=architecture, size=size)
    assert case.id == "default-torchvision.resnet18-torch-digits"
    assert Case.from_dict(case.to_dict()) == case


def test_unknown_network_is_refused_with_near_names() -> None:
    with pytest.raises(UnknownNameError, match="network of torchvision 'resnet19'; did you mean"):
        build_architecture("torchvision", COLOURED, 5, size="resnet19")
    with pytest.raises(UnknownNameError, match="'mobilenetv2'; did you mean mobilenet_v2"):
        build_architecture("keras", COLOURED, 5, size="mobilenetv2")
    with pytest.raises(UnknownNameError, match=r"known: alexnet, .* and \d+ more"):
        build_architecture("torchvision", COLOURED, 5, size="zzz")
    with pytest.raises(ArchitectureError, match=r"of them, such as torchvision\.alexnet"):
        build_architecture("torchvision", COLOURED, 5)


@pytest.mark.parametrize(
    ("network", "shape"), [("shufflenet_v2_x0_5", GREY), ("mobilenet_v3_small", COLOURED)]
)
def test_network_of_torchvision_takes_images_of_any_channels(network: str, shape: Shape) -> None:
    model = build("torchvision", network, shape)
    assert isinstance(model, torch.nn.Module)
    assert model.training
    assert model(torch.zeros(2, *shape)).shape == (2, 5)


def test_small_images_keep_their_size_in_the_first_layers() -> None:
    for shape, kernel, stride in (((1, 32, 32), 3, 1), ((1, 64, 64), 7, 2)):
        model = build("torchvision", "resnet18", shape)
        assert isinstance(model, torch.nn.Module)
        first = model.get_submodule("conv1")
        assert isinstance(first, torch.nn.Conv2d)
        assert (first.in_channels, first.kernel_size, first.stride) == (
            1,
            (kernel, kernel),
            (stride, stride),
        )
        is_pooled = isinstance(model.get_submodule("maxpool"), torch.nn.MaxPool2d)
        assert is_pooled == (stride == 2)


def test_images_that_a_network_cannot_take_are_refused_in_a_line() -> None:
    with pytest.raises(ArchitectureError, match=r"torchvision\.squeezenet1_1 does not take images"):
        build("torchvision", "squeezenet1_1", (1, 2, 2))


@pytest.mark.parametrize("network", ["mobilenet_v2", "efficientnet_b0"])
def test_network_of_keras_takes_small_grey_images(network: str) -> None:
    KerasBackend("keras", threads=1)
    model = build("keras", network, GREY)
    outputs = np.asarray(model(np.zeros((2, 8, 8, 1), np.float32)).detach().cpu())  # type: ignore[operator]
    assert outputs.shape == (2, 5)
    # Logits, not probabilities.
    assert not np.allclose(outputs.sum(axis=1), 1)


def test_timm_that_is_not_installed_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABSENT], capture_output=True, text=True, check=True
    )
    assert "needs the package 'timm'" in done.stdout


@pytest.mark.integration
@pytest.mark.parametrize("network", ["resnet10t", "vit_tiny_patch16_224"])
def test_network_of_timm_takes_images_of_any_channels(network: str) -> None:
    pytest.importorskip("timm")
    model = build("timm", network, (1, 32, 32))
    assert isinstance(model, torch.nn.Module)
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 5)
