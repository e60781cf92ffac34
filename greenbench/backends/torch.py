"""The torch backend: data in memory, batches by index, no synchronisation inside an epoch."""

import math
from collections.abc import Callable, Mapping
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from greenbench.architectures.spec import (
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    MaxPool,
    Native,
    Placed,
    ReLU,
    Spec,
    Weights,
)
from greenbench.backends.base import (
    EVALUATION_BATCH,
    BuildRequest,
    OutOfMemoryError,
    check_native,
)
from greenbench.datasets.base import Dataset


class TorchBackend:
    """Builds torch modules.

    Parameters
    ----------
    name : str
        ``"torch"``.
    threads : int
        CPU threads of an operation.
    """

    def __init__(self, name: str, *, threads: int) -> None:
        self.name = name
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}

    def load(self, dataset: Dataset) -> None:
        """Move the three splits to the device."""
        self._splits = {
            name: (
                torch.from_numpy(split.images).to(self._device),
                torch.from_numpy(split.labels).to(self._device),
            )
            for name, split in (
                ("train", dataset.train),
                ("validation", dataset.validation),
                ("test", dataset.test),
            )
        }

    def build(self, request: BuildRequest) -> "TorchModel":
        """Return a new model with its optimiser."""
        torch.manual_seed(request.seed)
        module, has_neutral_weights = self._module(request.architecture)
        model = TorchModel(module.to(self._device), self._splits, request, self._device)
        if has_neutral_weights and isinstance(request.architecture, Spec):
            model.set_weights(request.architecture.initial_weights(request.seed))
        return model

    def synchronize(self) -> None:
        """Wait for the GPU; the CPU never runs ahead."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def describe(self) -> Mapping[str, str]:
        """Return device and version."""
        cuda = self._device.type == "cuda"
        device = torch.cuda.get_device_name(self._device) if cuda else "cpu"
        return {"device": device, "torch": torch.__version__}

    def _module(self, architecture: Spec | Native) -> tuple[nn.Module, bool]:
        if isinstance(architecture, Native):
            check_native(self.name, architecture)
            return architecture.build(), False
        return nn.Sequential(*map(_layer, architecture.layers)), True


class TorchModel:
    """A torch module with Adam, bound to data on its device."""

    def __init__(
        self,
        module: nn.Module,
        splits: Mapping[str, tuple[Tensor, Tensor]],
        request: BuildRequest,
        device: torch.device,
    ) -> None:
        self._module = module
        self._splits = splits
        self._device = device
        self._batch_size = request.batch_size
        options = request.optimizer
        self._optimizer = torch.optim.Adam(
            module.parameters(),
            lr=options.learning_rate,
            betas=(options.beta1, options.beta2),
            eps=options.epsilon,
            weight_decay=options.weight_decay,
            fused=True,
        )
        self.parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Train once on the samples in `order`; the loss is read back once, at the end."""
        images, labels = self._splits["train"]
        self._module.train()
        total = torch.zeros((), device=self._device)

        def step(batch: Tensor) -> None:
            self._optimizer.zero_grad(set_to_none=True)
            loss = cross_entropy(self._module(images[batch]), labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            total.add_(loss.detach(), alpha=len(batch))

        def epoch() -> float:
            for batch in torch.from_numpy(order).to(self._device).split(self._batch_size):
                step(batch)
            return float(total) / len(order)

        return _translate_memory_error(epoch)

    def evaluate(self, split: str) -> float:
        """Return accuracy in inference mode, in large batches."""
        images, labels = self._splits[split]

        def accuracy() -> float:
            outputs = self._outputs(images)
            return float((outputs.argmax(dim=1) == labels).float().mean())

        return _translate_memory_error(accuracy)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs before the softmax."""
        outputs: NDArray[np.float32] = self._outputs(
            torch.from_numpy(images).to(self._device)
        ).cpu().numpy()
        return outputs

    def get_weights(self) -> Weights:
        """Return copies of all weights and running statistics."""
        return [tensor.detach().cpu().numpy().copy() for tensor in self._weight_tensors()]

    def set_weights(self, weights: Weights) -> None:
        """Load all weights and running statistics."""
        with torch.no_grad():
            for tensor, values in zip(self._weight_tensors(), weights, strict=True):
                tensor.copy_(torch.from_numpy(values))

    def count_train_flops(self) -> int:
        """Count one batch with torch's own counter, on a pass whose traces are removed."""
        images, labels = self._splits["train"]
        state = {k: v.clone() for k, v in self._module.state_dict().items()}
        count = min(self._batch_size, len(labels))
        self._module.train()
        with FlopCounterMode(display=False) as counter:
            cross_entropy(self._module(images[:count]), labels[:count]).backward()
        self._module.load_state_dict(state)
        self._optimizer.zero_grad(set_to_none=True)
        return math.ceil(counter.get_total_flops() / count)

    def _outputs(self, images: Tensor) -> Tensor:
        self._module.eval()
        with torch.inference_mode():
            return torch.cat([self._module(part) for part in images.split(EVALUATION_BATCH)])

    def _weight_tensors(self) -> list[Tensor]:
        layers = (m for m in self._module.modules() if not list(m.children()))
        return list(chain.from_iterable(map(_tensors, layers)))


def _tensors(layer: nn.Module) -> list[Tensor]:
    running = [b for name, b in layer.named_buffers() if name.startswith("running_")]
    return [*layer.parameters(), *running]


def _layer(placed: Placed) -> nn.Module:
    match placed.layer:
        case Conv(channels, kernel):
            return nn.Conv2d(placed.shape_in[0], channels, kernel, padding=kernel // 2)
        case BatchNorm(momentum, epsilon):
            return nn.BatchNorm2d(placed.shape_in[0], eps=epsilon, momentum=momentum)
        case ReLU():
            return nn.ReLU(inplace=True)
        case MaxPool(window):
            return nn.MaxPool2d(window)
        case Flatten():
            return nn.Flatten()
        case Linear(features):
            return nn.Linear(placed.shape_in[0], features)


def _translate_memory_error(work: Callable[[], float]) -> float:
    try:
        return work()
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(str(error)) from error
    except RuntimeError as error:
        # The CPU allocator raises a plain RuntimeError.
        if "can't allocate memory" in str(error):
            raise OutOfMemoryError(str(error)) from error
        raise
