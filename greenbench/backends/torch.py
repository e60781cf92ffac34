"""The torch backend: data in memory, batches by index, no synchronisation inside an epoch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

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
    check_native,
    check_trainable,
    memory_errors_translated,
)
from greenbench.backends.checks import check_shape
from greenbench.backends.process_state import OwnState, seed_process, state_kept
from greenbench.backends.torch_adam import FusedAdam, Moments
from greenbench.backends.torch_batched import TorchBatch
from greenbench.backends.torch_checks import TorchChecks
from greenbench.backends.torch_compute import (
    Compute,
    GraphedStep,
    make_reproducible,
    read_options,
)
from greenbench.backends.torch_device import choose_device, name_of, synchronize
from greenbench.backends.torch_flops import FlopCounter
from greenbench.backends.torch_gpus import gpu_uuids
from greenbench.datasets.base import Dataset, Split, digest_splits


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
        make_reproducible()
        self._device = choose_device()
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}
        self._classes = 0
        self._checks = TorchChecks()

    def load(self, dataset: Dataset) -> None:
        """Move the three splits to the device."""
        self._checks.forget()
        self._classes = dataset.classes
        self._splits = {
            name: (
                torch.from_numpy(split.images).to(self._device),
                torch.from_numpy(split.labels).to(self._device),
            )
            for name, split in dataset.splits.items()
        }

    def build(self, request: BuildRequest) -> "TorchModel":
        """Return a new model with its optimiser.

        Raises
        ------
        ConfigurationError
            If an option of the request is unknown, or nothing for this device.
        ArchitectureError
            If a neutral network cannot be trained in batches of that size, or a native one is
            none that learns these classes.
        """
        compute = read_options(request.options, self._device)
        check_trainable(request, len(self._splits["train"][1]))
        architecture = request.architecture
        who = f"architecture {architecture.name!r}"
        with memory_errors_translated(), state_kept(who) as state:
            torch.manual_seed(request.seed)
            seed_process(request.seed)
            layout = compute.memory_format
            # Copies nothing but where the former model had another layout.
            self._splits = {
                name: (images.contiguous(memory_format=layout), labels)
                for name, (images, labels) in self._splits.items()
            }
            module = self._module(architecture).to(self._device).to(memory_format=layout)
            # The network is checked, and trained, under our settings, with its random numbers.
            state.put_back(who, with_random=False)
            self._checks.check(request, module, self._splits["train"], self._classes, compute)
            model = TorchModel(module, self._splits, request, compute)
            if isinstance(architecture, Spec):
                model.set_weights(architecture.initial_weights(request.seed))
        return model

    @property
    def batches_pay(self) -> bool:
        """Whether several models trained as one cost less: not on a CPU; of MPS it is unknown."""
        return self._device.type == "cuda"

    def build_batch(self, requests: Sequence[BuildRequest]) -> TorchBatch:
        """Return new models that are trained as one."""
        models = [self.build(request) for request in requests]
        with memory_errors_translated():
            return TorchBatch(
                [model._module for model in models],
                requests,
                self._splits,
                lambda lane, *state: models[lane].resume(*state),
            )

    def digest(self) -> Mapping[str, str]:
        """Return a digest of each split as it is in the device's memory."""
        return digest_splits(
            {
                name: Split(images.cpu().numpy(), labels.cpu().numpy())
                for name, (images, labels) in self._splits.items()
            }
        )

    def synchronize(self) -> None:
        """Wait for the GPU; the CPU never runs ahead."""
        synchronize(self._device)

    def describe(self) -> Mapping[str, str]:
        """Return device and version."""
        return {"device": name_of(self._device), "torch": torch.__version__}

    def gpu_uuids(self) -> Sequence[str] | None:
        """Return the UUID of the GPU that trains, if one does."""
        return gpu_uuids(self._device)

    def _module(self, architecture: Spec | Native) -> nn.Module:
        if isinstance(architecture, Native):
            check_native(self.name, architecture)
            return self._checks.build(architecture, self._splits["train"][0][:2])
        return nn.Sequential(*_layers(architecture))


class TorchModel:
    """A torch module with Adam, bound to data on its device."""

    def __init__(
        self,
        module: nn.Module,
        splits: Mapping[str, tuple[Tensor, Tensor]],
        request: BuildRequest,
        compute: Compute,
    ) -> None:
        self._module = module
        self._splits = splits
        self._device = device = splits["train"][0].device
        self._name = request.architecture.name
        self._batch_size = request.batch_size
        self._layout = compute.memory_format
        self._forward_passes = compute.autocast(device)
        self._scaler = compute.scaler(device)
        self._graphed = GraphedStep(request.batch_size, device) if compute.cuda_graphs else None
        self._total = torch.zeros((), device=device)
        self._own_state = OwnState(request.architecture)
        # What others' modules keep of an evaluation may meet a gradient later.
        is_ours = isinstance(request.architecture, Spec)
        self._without_gradients = torch.inference_mode if is_ours else torch.no_grad
        self._optimizer = FusedAdam(module.parameters(), request.optimizer)
        self.parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Train once on the samples in `order`; the loss is read back once, at the end."""
        self._module.train()
        self._total.zero_()
        with memory_errors_translated(), self._own_state(goes_on=True):
            for batch in torch.split(torch.from_numpy(order).to(self._device), self._batch_size):
                if self._graphed is None:
                    self._step(batch)
                else:
                    self._graphed(batch, self._step, self._changed)
            return float(self._total) / len(order)

    def evaluate(self, split: str) -> float:
        """Return accuracy in inference mode, in large batches."""
        images, labels = self._splits[split]
        with memory_errors_translated():
            outputs = self._outputs(images)
            check_shape(self._name, outputs.shape, labels.shape)
            return int((outputs.argmax(dim=1) == labels).sum()) / len(labels)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs before the softmax."""
        outputs: NDArray[np.float32] = (
            self._outputs(torch.from_numpy(images).to(self._device, memory_format=self._layout))
            .float()
            .cpu()
            .numpy()
        )
        return outputs

    def get_weights(self) -> Weights:
        """Return copies of all weights and running statistics."""
        return [tensor.detach().cpu().numpy().copy() for tensor in self._weight_tensors()]

    def set_weights(self, weights: Weights) -> None:
        """Load all weights and running statistics."""
        with torch.no_grad():
            for tensor, values in zip(self._weight_tensors(), weights, strict=True):
                tensor.copy_(torch.from_numpy(values))

    def resume(
        self, tensors: Mapping[str, Tensor], moments: Mapping[str, Moments], steps: int
    ) -> "TorchModel":
        """Go on from weights, running statistics and Adam's moments, by name."""
        for name, tensor in chain(self._module.named_parameters(), self._module.named_buffers()):
            tensor.detach().copy_(tensors[name])
        trained = (name for name, each in self._module.named_parameters() if each.requires_grad)
        self._optimizer.resume(map(moments.get, trained), steps)
        return self

    def count_train_flops(self) -> int:
        """Count one batch by torch's own formulas, on a pass whose traces are removed.

        Raises
        ------
        UncountedFlopsError
            If an operator ran that no formula knows.
        """
        tensors = chain(self._module.named_parameters(), self._module.named_buffers())
        state = {name: each.detach().clone() for name, each in tensors}
        images, labels = (each[: self._batch_size].clone() for each in self._splits["train"])
        self._module.train()
        with (
            memory_errors_translated(),
            self._own_state(goes_on=False),
            FlopCounter() as counter,
        ):
            with self._forward_passes:
                loss = cross_entropy(self._module(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
        self._restore(state)
        self._optimizer.zero_grad()
        return math.ceil(counter.total / len(labels))

    def _step(self, batch: Tensor) -> None:
        images, labels = self._splits["train"]
        self._optimizer.zero_grad()
        # Faster than indexing, but forgets the layout.
        inputs = images.index_select(0, batch).contiguous(memory_format=self._layout)
        with self._forward_passes:
            loss = cross_entropy(self._module(inputs), labels.index_select(0, batch))
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        # It reads the groups of parameters, and calls `step`.
        self._scaler.step(self._optimizer)  # type: ignore[arg-type]
        self._scaler.update()
        self._total.add_(loss.detach(), alpha=len(batch))

    def _changed(self) -> Iterator[Tensor]:
        """Yield the tensors that a step changes."""
        yield from self._module.parameters()
        yield from self._module.buffers()
        yield from self._optimizer.tensors()
        yield self._total

    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name, each in chain(self._module.named_parameters(), self._module.named_buffers()):
            # Buffers may appear, or grow, with what a network sees.
            if name in tensors and each.shape == tensors[name].shape:
                each.detach().copy_(tensors[name])

    def _outputs(self, images: Tensor) -> Tensor:
        self._module.eval()
        # Copies: a forward pass may work in place on what it gets.
        parts = (part.clone() for part in torch.split(images, EVALUATION_BATCH))
        with (
            self._own_state(goes_on=False),
            self._without_gradients(),
            self._forward_passes,
        ):
            return torch.cat([self._module(part) for part in parts])

    def _weight_tensors(self) -> list[Tensor]:
        return list(chain.from_iterable(map(_tensors, self._module.modules())))


def _tensors(layer: nn.Module) -> list[Tensor]:
    buffers = layer.named_buffers(recurse=False)
    running = [buffer for name, buffer in buffers if name.startswith("running_")]
    return [*layer.parameters(recurse=False), *running]


def _layers(spec: Spec) -> Iterator[nn.Module]:
    # In place spares memory, but only on an output that nothing else reads: not on the data,
    # and not on what a former ReLU keeps for its gradient.
    is_fresh = False
    for placed in spec.layers:
        yield nn.ReLU(inplace=is_fresh) if isinstance(placed.layer, ReLU) else _layer(placed)
        is_fresh = isinstance(placed.layer, Conv | BatchNorm | Linear)


def _layer(placed: Placed) -> nn.Module:
    match placed.layer:
        case Conv(channels, kernel):
            return nn.Conv2d(placed.shape_in[0], channels, kernel, padding="same")
        case BatchNorm(momentum, epsilon):
            return nn.BatchNorm2d(placed.shape_in[0], eps=epsilon, momentum=momentum)
        case ReLU():
            return nn.ReLU()
        case MaxPool(window):
            return nn.MaxPool2d(window)
        case Flatten():
            return nn.Flatten()
        case Linear(features):
            return nn.Linear(placed.shape_in[0], features)
