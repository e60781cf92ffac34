"""The torch backend: data in memory, batches by index, no synchronisation inside an epoch."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from greenbench.architectures.spec import Native, Spec, Weights
from greenbench.backends.base import (
    EVALUATION_BATCH,
    BuildRequest,
    Order,
    check_native,
    check_trainable,
    memory_errors_translated,
)
from greenbench.backends.checks import check_shape
from greenbench.backends.process_state import OwnState, seed_process, state_kept
from greenbench.backends.torch_adam import FusedAdam, Moments
from greenbench.backends.torch_batched import TorchBatch
from greenbench.backends.torch_capture import Capturer, CudaCapturer
from greenbench.backends.torch_checks import TorchChecks
from greenbench.backends.torch_compute import Compute, make_reproducible, read_options
from greenbench.backends.torch_device import choose_device, name_of, synchronize
from greenbench.backends.torch_flops import FlopCounter
from greenbench.backends.torch_gpus import gpu_uuids
from greenbench.backends.torch_graphs import Graphs
from greenbench.backends.torch_memory import lanes_that_fit
from greenbench.backends.torch_spec import layers
from greenbench.datasets.base import Dataset, Split, digest_splits
from greenbench.optimizers import AdamOptions


class TorchBackend:
    """Builds torch modules.

    Parameters
    ----------
    name : str
        ``"torch"``.
    threads : int
        CPU threads of an operation.
    capturer : Capturer or None
        Captures graphs of what is trained; None takes the GPU's, if there is one.
    """

    def __init__(self, name: str, *, threads: int, capturer: Capturer | None = None) -> None:
        self.name = name
        torch.set_num_threads(threads)
        make_reproducible()
        self._device = choose_device()
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}
        self._classes = 0
        self._checks = TorchChecks()
        if capturer is None and self._device.type == "cuda":
            capturer = CudaCapturer(self._device)
        self._graphs = Graphs(capturer)

    @property
    def notes(self) -> Sequence[str]:
        """What people must know of how the loaded data was trained on."""
        return self._graphs.notes

    def load(self, dataset: Dataset) -> None:
        """Move the three splits to the device."""
        self._checks.forget()
        self._graphs.forget_notes()
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
        compute = self._options(request)
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
            model = TorchModel(module, self._splits, request, compute, self._graphs)
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
        replayed = partial(
            self._graphs.replayed,
            request=requests[0],
            compute=(len(requests), self._splits["train"][0].shape[1:]),
            wish=self._options(requests[0]).cuda_graphs,
            module=None if isinstance(requests[0].architecture, Spec) else models[0]._module,
        )
        with memory_errors_translated():
            return TorchBatch(
                [model._module for model in models],
                requests,
                self._splits,
                lambda lane, *state: models[lane].resume(*state),
                (
                    replayed("training step of trials as one"),
                    replayed("evaluation of trials as one"),
                ),
            )

    def lanes_that_fit(self, requests: Sequence[BuildRequest], orders: Sequence[Order]) -> int:
        """Return how many lanes of a batch the GPU has memory for."""

        def train(lanes: int) -> None:
            batch = self.build_batch(requests[:lanes])
            batch.train_epoch(np.stack(orders[:lanes]))
            batch.evaluate("validation")

        return lanes_that_fit(train, self._device, len(requests))

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

    def _options(self, request: BuildRequest) -> Compute:
        captures = self._graphs.capturer is not None
        return read_options(request.options, self._device, captures=captures)

    def _module(self, architecture: Spec | Native) -> nn.Module:
        if isinstance(architecture, Native):
            check_native(self.name, architecture)
            return self._checks.build(architecture, self._splits["train"][0][:2])
        return nn.Sequential(*layers(architecture))


class TorchModel:
    """A torch module with Adam, bound to data on its device."""

    def __init__(
        self,
        module: nn.Module,
        splits: Mapping[str, tuple[Tensor, Tensor]],
        request: BuildRequest,
        compute: Compute,
        graphs: Graphs,
    ) -> None:
        self._module = module
        self._splits = splits
        self._device = device = splits["train"][0].device
        self._name = request.architecture.name
        self._batch_size = request.batch_size
        self._layout = compute.memory_format
        self._forward_passes = compute.autocast(device)
        self._rounding = compute.rounding
        self._scaler = compute.scaler(device)
        # What others' modules keep of an evaluation may meet a gradient later.
        is_ours = isinstance(request.architecture, Spec)
        self._without_gradients = torch.inference_mode if is_ours else torch.no_grad
        replayed = partial(
            graphs.replayed,
            request=request,
            compute=(compute, splits["train"][0].shape[1:]),
            wish=compute.cuda_graphs,
            module=None if is_ours else module,
        )
        self._replayed_step = replayed("training step", obstacle=compute.obstacle)
        self._replayed_pass = replayed("evaluation")
        self._total = torch.zeros((), device=device)
        self._own_state = OwnState(request.architecture)
        self._optimizer = FusedAdam(module.parameters(), cast("AdamOptions", request.optimizer))
        self.parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Train once on the samples in `order`; the loss is read back once, at the end."""
        self._module.train()
        self._total.zero_()
        with memory_errors_translated(), self._own_state(goes_on=True), self._rounding():
            for batch in torch.split(torch.from_numpy(order).to(self._device), self._batch_size):
                if len(batch) == self._batch_size:
                    self._replayed_step(self._step, self._changed, batch)
                else:
                    self._step(batch)
            return float(self._total) / len(order)

    def evaluate(self, split: str) -> float:
        """Return accuracy in inference mode, in large batches."""
        images, labels = self._splits[split]
        with memory_errors_translated():
            outputs = self._outputs(images, self._part)
            check_shape(self._name, outputs.shape, labels.shape)
            return int((outputs.argmax(dim=1) == labels).sum()) / len(labels)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs before the softmax."""
        on_device = torch.from_numpy(images).to(self._device, memory_format=self._layout)
        outputs: NDArray[np.float32] = self._outputs(on_device, self._pass).float().cpu().numpy()
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
            self._rounding(),
            FlopCounter() as counter,
        ):
            with self._forward_passes:
                loss = cross_entropy(self._module(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
        self._restore(state)
        self._optimizer.zero_grad()
        return math.ceil(counter.total / len(labels))

    def _step(self, batch: Tensor) -> None:
        """Train on a batch; all that it changes stays where it is."""
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

    def _outputs(self, images: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        self._module.eval()
        with self._own_state(goes_on=False), self._without_gradients(), self._rounding():
            return torch.cat([part(each) for each in torch.split(images, EVALUATION_BATCH)])

    def _part(self, images: Tensor) -> Tensor:
        if len(images) == EVALUATION_BATCH:
            outputs = self._replayed_pass(self._pass, self._module.buffers, images)
            assert outputs is not None
            return outputs
        return self._pass(images)

    def _pass(self, images: Tensor) -> Tensor:
        # Autocast keeps weights that it has cast until it ends: each pass casts its own, so that
        # a graph does, too. A copy: a forward pass may work in place on what it gets.
        with self._forward_passes:
            outputs: Tensor = self._module(images.clone())
            return outputs

    def _weight_tensors(self) -> list[Tensor]:
        return list(chain.from_iterable(map(_tensors, self._module.modules())))


def _tensors(layer: nn.Module) -> list[Tensor]:
    buffers = layer.named_buffers(recurse=False)
    running = [buffer for name, buffer in buffers if name.startswith("running_")]
    return [*layer.parameters(recurse=False), *running]
