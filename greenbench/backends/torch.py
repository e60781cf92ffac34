"""The torch backend: data in memory, batches by index, no synchronisation inside an epoch."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from greenbench.architectures.spec import Native, Spec
from greenbench.backends.base import (
    BuildRequest,
    Order,
    check_trainable,
    memory_errors_translated,
)
from greenbench.backends.known import check_native
from greenbench.backends.process_state import seed_process, state_kept
from greenbench.backends.takes import TAKES
from greenbench.backends.torch_augmentation import check_augmentation
from greenbench.backends.torch_batched import TorchBatch, check_vectorised
from greenbench.backends.torch_capture import Capturer, CudaCapturer
from greenbench.backends.torch_checks import Lesson, TorchChecks
from greenbench.backends.torch_compute import Compute, make_reproducible, read_options
from greenbench.backends.torch_data import Held, Streamed, hold, shapes
from greenbench.backends.torch_device import choose_device, name_of, synchronize
from greenbench.backends.torch_gpus import gpu_uuids
from greenbench.backends.torch_graphs import ByLength, Graphs
from greenbench.backends.torch_memory import lanes_that_fit
from greenbench.backends.torch_model import Data, TorchModel
from greenbench.backends.torch_ranks import Ranks
from greenbench.backends.torch_spec import network
from greenbench.datasets.base import Dataset, digest_splits


class TorchBackend:
    """Builds torch modules.

    Parameters
    ----------
    name : str
        ``"torch"``.
    threads : int
        CPU threads of an operation.
    devices, rank : int
        Among how many processes each training is shared out, and which of them this is, from 0.
    capturer : Capturer or None
        Captures graphs of what is trained; None takes the GPU's, if there is one.
    """

    takes = TAKES

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        devices: int = 1,
        rank: int = 0,
        capturer: Capturer | None = None,
    ) -> None:
        self.name = name
        self.devices = devices
        torch.set_num_threads(threads)
        make_reproducible()
        self._device = choose_device()
        self._ranks: Ranks | None = None
        if devices > 1:
            self._ranks = Ranks(rank, devices, self._device, threads)
            self._device = self._ranks.device
        self._dataset: Dataset | None = None
        self._splits: dict[str, Held | Streamed] = {}
        self._checks = TorchChecks()
        # A graph holds no steps that wait for other processes.
        if capturer is None and self._device.type == "cuda" and self._ranks is None:
            capturer = CudaCapturer(self._device)
        self._graphs = Graphs(capturer)

    @property
    def notes(self) -> Sequence[str]:
        """What people must know of how the loaded data was trained on."""
        return self._graphs.notes

    def load(self, dataset: Dataset) -> None:
        """Move the three splits to the device, but for those that are streamed."""
        self.release()
        self._dataset = dataset
        self._splits = {name: hold(each, self._device) for name, each in dataset.splits.items()}

    def release(self) -> None:
        """Hold no data, until some are loaded again."""
        self._checks.forget()
        self._graphs.forget_notes()
        self._dataset, self._splits = None, {}

    def build(self, request: BuildRequest) -> "TorchModel":
        """Return a new model with its optimiser.

        Raises
        ------
        ConfigurationError
            If an option of the request is unknown, or nothing for this device; or torch has
            neither the optimiser nor the loss.
        ArchitectureError
            If a neutral network cannot be trained in batches of that size, or a native one is
            none that learns the task from this data.
        """
        compute = self._options(request)
        check_trainable(request, len(self._splits["train"]))
        check_augmentation(self._augmentation, self._splits["train"].first(1)[1].shape)
        architecture = request.architecture
        who = f"architecture {architecture.name!r}"
        with memory_errors_translated(), state_kept(who) as state:
            torch.manual_seed(request.seed)
            seed_process(request.seed)
            layout = compute.memory_format
            # Copies nothing but where the former model had another layout.
            self._splits = {name: each.laid_out(layout) for name, each in self._splits.items()}
            data = Data(self._splits, self._augmentation, self._ranks)
            module = self._module(architecture).to(memory_format=layout)
            # The network is checked, and trained, under our settings, with its random numbers.
            state.put_back(who, with_random=False)
            self._checks.check(request, module, lambda: self._lesson(request, compute))
            if self._ranks is not None:
                module = self._ranks.with_shared_norms(module)
                self._ranks.part_ways(request.seed)
            model = TorchModel(module, data, request, compute, self._graphs)
            if isinstance(architecture, Spec):
                model.set_weights(architecture.initial_weights(request.seed))
        return model

    @property
    def batches_pay(self) -> bool:
        """Whether several models trained as one cost less: not on a CPU; of MPS it is unknown."""
        return self._device.type == "cuda"

    def build_batch(self, requests: Sequence[BuildRequest]) -> TorchBatch:
        """Return new models that are trained as one.

        Raises
        ------
        ArchitectureError
            If they cannot be.
        """
        splits = check_vectorised(requests, self._splits, self._augmentation)
        first = self.build(requests[0])
        seen = len(requests), shapes(splits["train"].inputs), requests[0].task.name
        replayed = partial(
            self._graphs.replayed,
            request=requests[0],
            wish=self._options(requests[0]).cuda_graphs,
            module=None if isinstance(requests[0].architecture, Spec) else first.native(),
        )
        with memory_errors_translated():
            return TorchBatch(
                first.native(),
                self._initial(first, requests),
                requests,
                splits,
                resume=lambda lane, *state: self.build(requests[lane]).resume(*state),
                replayed=(
                    ByLength(
                        lambda length: replayed(
                            "training step of trials as one",
                            compute=(*seen, length),
                            is_rare=length < requests[0].batch_size,
                        )
                    ),
                    replayed("evaluation of trials as one", compute=seen),
                ),
            )

    def _initial(self, first: TorchModel, requests: Sequence[BuildRequest]) -> Iterator[nn.Module]:
        """Yield modules with the initial weights of each request, each to be read at once."""
        yield first.native()
        for request in requests[1:]:
            if isinstance(request.architecture, Spec):
                # To build one takes much longer than to draw its weights.
                first.set_weights(request.architecture.initial_weights(request.seed))
                yield first.native()
            else:
                yield self.build(request).native()

    def lanes_that_fit(self, requests: Sequence[BuildRequest], orders: Sequence[Order]) -> int:
        """Return how many lanes of a batch the GPU has memory for."""

        def train(lanes: int) -> None:
            batch = self.build_batch(requests[:lanes])
            batch.train_epoch(np.stack(orders[:lanes]))
            batch.evaluate("validation")

        return lanes_that_fit(train, self._device, len(requests))

    def digest(self) -> Mapping[str, str]:
        """Return a digest of each split as it is in the device's memory."""
        return digest_splits({name: each.on_host() for name, each in self._splits.items()})

    def synchronize(self) -> None:
        """Wait for the GPU; the CPU never runs ahead."""
        synchronize(self._device)

    def describe(self) -> Mapping[str, str]:
        """Return device and version."""
        return {"device": name_of(self._device), "torch": torch.__version__}

    def gpu_uuids(self) -> Sequence[str] | None:
        """Return the UUIDs of the GPUs that train, if any do."""
        return gpu_uuids(self._device, self.devices)

    def join(self, meeting: Path) -> None:
        """Meet the other processes that share each training; wait until all are there."""
        if self._ranks is not None:
            self._ranks.join(meeting)

    def leave(self) -> None:
        """Let them go; others may be met afterwards."""
        if self._ranks is not None:
            self._ranks.leave()

    def _options(self, request: BuildRequest) -> Compute:
        captures = self._graphs.capturer is not None
        return read_options(request.options, self._device, captures=captures)

    def _module(self, architecture: Spec | Native) -> nn.Module:
        if isinstance(architecture, Native):
            check_native(self.name, architecture.name, architecture.backend)
            seen = self._splits["train"].first(2)[0]
            return self._checks.build(architecture, seen).to(self._device)
        return network(architecture, self._device)

    def _lesson(self, request: BuildRequest, compute: Compute) -> Lesson:
        assert self._dataset is not None
        wanted = request.task.outputs(self._dataset)
        return Lesson(self._splits["train"], wanted, request.task, compute)

    @property
    def _augmentation(self) -> Any:
        return getattr(self._dataset, "augmentation", None)
