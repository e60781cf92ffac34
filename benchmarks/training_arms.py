"""The training loops that `bench_training.py` compares: each trains an epoch in a given order."""

import importlib.util
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Keras and torch share this process.
os.environ["KERAS_BACKEND"] = "torch"

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.transforms import ToTensor

from greenbench.architectures import Native, Spec
from greenbench.architectures.spec import Weights
from greenbench.backends import BuildRequest
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Scalar
from greenbench.datasets import Dataset

Order = NDArray[np.int64]
Epoch = Callable[[], float]
Arm = Callable[[Order], Epoch]
"""Prepares an epoch, untimed; the epoch is timed, and returns its mean loss."""

Loader = torch.utils.data.DataLoader[Any]

SEED = 0
CLASSES = 10


@dataclass(frozen=True)
class Setting:
    """What all arms of a network share.

    Attributes
    ----------
    architecture : Spec or Native
        What greenbench builds.
    module : callable
        Returns the same network, written by hand in torch, untrained.
    dataset : Dataset
        In NumPy's memory.
    batch_size : int
        Samples a step.
    data_dir : pathlib.Path or None
        Where torchvision finds MNIST, if that is the data set.
    """

    architecture: Spec | Native
    module: Callable[[], nn.Module]
    dataset: Dataset
    batch_size: int
    data_dir: Path | None = None

    def initialised(self) -> nn.Module:
        """Return the hand-written network with the weights that greenbench starts from."""
        torch.manual_seed(SEED)
        module = self.module()
        if isinstance(self.architecture, Spec):
            load_weights(module, self.architecture.initial_weights(SEED))
        return module

    def request(self, **options: Scalar) -> BuildRequest:
        """Return what greenbench is asked for."""
        return BuildRequest(
            self.architecture, batch_size=self.batch_size, seed=SEED, options=options
        )

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return training images and labels."""
        train = self.dataset.train
        return torch.from_numpy(train.images), torch.from_numpy(train.labels)


def layers(convolutions: int) -> nn.Module:
    """Return the paper's network for 28×28 images, by hand; without convolutions dense_poly."""
    stack: list[nn.Module] = []
    for depth in range(convolutions):
        channels = 3 ** (depth + 1)
        stack += [nn.Conv2d(channels // 3, channels, 3, padding=1), nn.BatchNorm2d(channels)]
        stack += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    side = 28 >> convolutions
    stack += [nn.Flatten(), nn.Linear(3**convolutions * side * side, 392)]
    return nn.Sequential(*stack, nn.Linear(392, 196), nn.Linear(196, CLASSES))


def resnet18() -> nn.Module:
    """Return torchvision's ResNet-18."""
    module: nn.Module = torchvision.models.resnet18(num_classes=CLASSES)
    return module


def load_weights(module: nn.Module, weights: Weights) -> None:
    """Copy neutral weights into a stack of layers."""
    with torch.no_grad():
        values = iter(weights)
        for layer in module.modules():
            running = [b for name, b in layer.named_buffers(recurse=False) if "running" in name]
            for tensor in [*layer.parameters(recurse=False), *running]:
                tensor.copy_(torch.from_numpy(next(values)))


def greenbench_torch(setting: Setting, **options: Scalar) -> Arm:
    """Return greenbench's torch backend."""
    backend = TorchBackend("torch", threads=1)
    backend.load(setting.dataset)
    model = backend.build(setting.request(**options))
    return lambda order: partial(model.train_epoch, order)


def greenbench_keras(setting: Setting) -> Arm:
    """Return greenbench's Keras backend."""
    backend = KerasBackend("keras", threads=1)
    backend.load(setting.dataset)
    model = backend.build(setting.request())
    return lambda order: partial(model.train_epoch, order)


def bare(setting: Setting) -> Arm:
    """Return the fastest loop that one would write by hand for this network alone."""
    images, labels = setting.tensors()
    module = setting.initialised().train()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)

    def train(order: Order) -> float:
        total = torch.zeros(())
        for batch in torch.split(torch.from_numpy(order), setting.batch_size):
            optimizer.zero_grad()
            loss = cross_entropy(
                module(images.index_select(0, batch)), labels.index_select(0, batch)
            )
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total.add_(loss.detach(), alpha=len(batch))
        return float(total) / len(order)

    return lambda order: partial(train, order)


class Photographs(torchvision.datasets.VisionDataset):  # type: ignore[misc]
    """Pictures in memory as torchvision's CIFAR10 holds and hands them out.

    CIFAR10 itself takes no files but the published ones.
    """

    def __init__(self, pixels: NDArray[np.uint8], labels: list[int]) -> None:
        super().__init__(transform=ToTensor())
        self.data = pixels.transpose(0, 2, 3, 1)
        self.targets = labels

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)


def pictures(setting: Setting) -> Any:
    """Return the training split as torchvision would hold it."""
    train = setting.dataset.train
    pixels = (train.images * 255).round().astype(np.uint8)
    if setting.data_dir is None:
        return Photographs(pixels, train.labels.tolist())
    mnist = torchvision.datasets.MNIST(setting.data_dir, transform=ToTensor())
    mnist.data, mnist.targets = torch.from_numpy(pixels[:, 0]), torch.from_numpy(train.labels)
    return mnist


def tutorial(setting: Setting) -> Arm:
    """Return the loop of the tutorials; a sampler in place of ``shuffle`` costs it nothing."""
    dataset = pictures(setting)
    module = setting.initialised()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)

    def train(order: Order) -> float:
        loader: Loader = torch.utils.data.DataLoader(
            dataset, batch_size=setting.batch_size, sampler=order.tolist()
        )
        module.train()
        running = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(module(images), labels)
            loss.backward()
            optimizer.step()
            running += loss.item() * len(labels)
        return running / len(order)

    return lambda order: partial(train, order)


@dataclass(frozen=True)
class Batches:
    """An epoch of batches, taken from tensors in memory."""

    images: Tensor
    labels: Tensor
    order: list[Any]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.order:
            yield self.images.index_select(0, batch), self.labels.index_select(0, batch)

    def __len__(self) -> int:
        return len(self.order)


def batches(setting: Setting, order: Order) -> Batches:
    """Return the batches of an epoch."""
    parts = torch.split(torch.from_numpy(order), setting.batch_size)
    return Batches(*setting.tensors(), list(parts))


def lightning(setting: Setting) -> Arm:
    """Return Lightning with all that is optional off; its trainers are built untimed."""
    import lightning as framework  # noqa: PLC0415

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")

    class Classifier(framework.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = setting.initialised()
            self.total = torch.zeros(())
            # Kept, as every fit asks for an optimiser.
            self.adam = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            images, labels = batch
            loss = cross_entropy(self.network(images), labels)
            self.total.add_(loss.detach(), alpha=len(labels))
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return self.adam

    model = Classifier()

    def train(trainer: Any, loader: Batches, samples: int) -> float:
        model.total.zero_()
        trainer.fit(model, loader)
        return float(model.total) / samples

    def prepare(order: Order) -> Epoch:
        trainer = framework.Trainer(accelerator="cpu", devices=1, max_epochs=1, barebones=True)
        return partial(train, trainer, batches(setting, order), len(order))

    return prepare


def keras_fit(setting: Setting, *, in_order: bool) -> Arm:
    """Return Keras's ``fit`` on arrays, which shuffles by itself, or on a loader in order."""
    backend = KerasBackend("keras", threads=1)
    backend.load(setting.dataset)
    # The same layers and the same compilation, so that the loop alone differs.
    model = backend.build(setting.request())._model
    train = setting.dataset.train
    warnings.filterwarnings("ignore", message="`shuffle=True` was passed")

    def fit(**data: Any) -> float:
        return float(model.fit(verbose=0, **data).history["loss"][0])

    def prepare(order: Order) -> Epoch:
        if in_order:
            loader: Loader = torch.utils.data.DataLoader(
                InMemory(*setting.tensors()),
                batch_sampler=batches(setting, order).order,
                collate_fn=_unchanged,
            )
            return partial(fit, x=loader)
        images, labels = train.images[: len(order)], train.labels[: len(order)]
        return partial(fit, x=images, y=labels, batch_size=setting.batch_size)

    return prepare


@dataclass(frozen=True)
class InMemory(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Hands out whole batches, as the loaders of Keras do."""

    images: Tensor
    labels: Tensor

    def __getitems__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.images.index_select(0, indices), self.labels.index_select(0, indices)

    def __len__(self) -> int:
        return len(self.labels)


def _unchanged(batch: Any) -> Any:
    return batch


def arms_of(setting: Setting) -> Mapping[str, Arm]:
    """Return all arms that this network and this machine have; the bare loop twice, as A/A."""
    arms: dict[str, Arm] = {
        "bare": bare(setting),
        "control": bare(setting),
        "torch": greenbench_torch(setting),
        "torch bfloat16": greenbench_torch(setting, precision="bfloat16"),
        "torch channels_last": greenbench_torch(setting, channels_last=True),
        "tutorial": tutorial(setting),
    }
    if importlib.util.find_spec("lightning"):
        arms["lightning"] = lightning(setting)
    if isinstance(setting.architecture, Spec):
        arms["keras"] = greenbench_keras(setting)
        arms["fit arrays"] = keras_fit(setting, in_order=False)
        arms["fit loader"] = keras_fit(setting, in_order=True)
    return arms
