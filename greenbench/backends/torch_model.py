"""A torch module with its optimiser, bound to data on its device."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from greenbench.architectures.spec import Spec, Weights
from greenbench.backends.base import (
    EVALUATION_BATCH,
    BuildRequest,
    factors_of,
    learning_factors,
    memory_errors_translated,
)
from greenbench.backends.checks import check_shape
from greenbench.backends.process_state import OwnState
from greenbench.backends.torch_augmentation import Augmenter
from greenbench.backends.torch_compute import Compute
from greenbench.backends.torch_data import (
    Held,
    Inputs,
    Streamed,
    call,
    copied,
    cut,
    laid_out,
    like,
    mapped,
    on_device,
    shapes,
    tensors_of,
)
from greenbench.backends.torch_few_channels import FewChannels
from greenbench.backends.torch_flops import FlopCounter
from greenbench.backends.torch_graphs import ByLength, Graphs
from greenbench.backends.torch_losses import Answers, counts_hits, loss_of
from greenbench.backends.torch_optimizers import Functional, Moments, make_optimizer
from greenbench.backends.torch_ranks import Ranks


@dataclass(frozen=True)
class Data:
    """What a model learns from.

    Attributes
    ----------
    splits : mapping of str to (Held or Streamed)
        By name, with images in the layout of the request.
    augmentation : greenbench.datasets.augmentation.Augmentation or None
        How training images are varied.
    ranks : Ranks or None
        The processes that share the training, of which each learns from a part of every batch.
    """

    splits: Mapping[str, Held | Streamed]
    augmentation: Any = None
    ranks: Ranks | None = None


class TorchModel:
    """A module that learns a request's task from data."""

    def __init__(
        self, module: nn.Module, data: Data, request: BuildRequest, compute: Compute, graphs: Graphs
    ) -> None:
        self._module = self._trained = module
        self._ranks = ranks = data.ranks
        self._splits = data.splits
        self._train = data.splits["train"]
        self._inputs = self._train.inputs
        self._request = request
        self._device = device = tensors_of(self._inputs)[0].device
        self._layout = compute.memory_format
        self._forward_passes = compute.autocast(device)
        self._rounding = compute.rounding
        self._scaler = compute.scaler(device)
        self._loss = loss_of(request.task)
        self._augmenter = (
            Augmenter(data.augmentation, request.seed + (ranks.rank if ranks else 0), device)
            if data.augmentation
            else None
        )
        # What others' modules keep of an evaluation may meet a gradient later.
        self._is_ours = is_ours = isinstance(request.architecture, Spec)
        self._without_gradients = torch.inference_mode if is_ours else torch.no_grad
        # Theirs are computed by the layers that they chose.
        on_gpu = is_ours and device.type == "cuda"
        self._layers = FewChannels(lanes=False) if on_gpu else nullcontext()
        self._optimizer = make_optimizer(module.parameters(), request.optimizer)
        replayed = partial(
            graphs.replayed, request=request, wish=compute.cuda_graphs,
            module=None if is_ours else module,
        )  # fmt: skip
        seen = shapes(self._inputs)
        learns = request.task.name, request.optimizer.name, request.schedule.name
        fed = compute, seen, learns, bool(data.augmentation), isinstance(self._train, Held)
        obstacle = compute.obstacle or self._optimizer.obstacle
        self._replayed_steps = ByLength(
            lambda length: replayed(
                "training step",
                compute=(*fed, length),
                obstacle=obstacle,
                is_rare=length < request.batch_size,
            )
        )
        self._replayed_pass = replayed("evaluation", compute=(compute, seen))
        self._rates = _Rates(request, self._optimizer, device, reads=graphs.capturer is not None)
        # Fewer samples where each has many targets, such as pixels or tokens.
        targets = math.prod(self._train.first(1)[1].shape[1:])
        self._evaluation_batch = max(EVALUATION_BATCH // targets, 1)
        self._total = torch.zeros((), device=device)
        self._own_state = OwnState(request.architecture)
        self.parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)

    def native(self) -> nn.Module:
        """Return the module itself."""
        return self._module

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Train once on the samples in `order`; the loss is read back once, at the end."""
        self._module.train()
        self._total.zero_()
        size, count = self._request.batch_size, len(order)
        with memory_errors_translated(), self._own_state(goes_on=True), self._rounding():
            if self._ranks is not None:
                if self._trained is self._module:
                    self._trained = self._ranks.wrapped(self._module, is_ours=self._is_ours)
                order, size = self._ranks.part_of(order, size)
            work, batches = self._fed(order, size)
            rates = self._rates.take(math.ceil(len(order) / size))
            for given, rate in zip(batches, rates, strict=False):
                if isinstance(rate, Tensor):
                    given = (*given, rate)  # noqa: PLW2901
                elif rate is not None:
                    self._optimizer.learning_rate = rate
                self._replayed_steps[len(given[0])](work, self._changed, *given)
            total = self._ranks.sum(self._total) if self._ranks is not None else self._total
            return float(total) / count

    def evaluate(self, split: str) -> float:
        """Return the task's score in inference mode, in large batches."""
        task = self._request.task
        answers = self._answers(split, {task.score.reads})
        return answers.accuracy() if counts_hits(task) else answers.measured(task)[task.score.name]

    def measure(self, split: str) -> dict[str, float]:
        """Return the task's score and further metrics, by name."""
        task = self._request.task
        reads = {score.reads for score in (task.score, *task.metrics)}
        return self._answers(split, reads).measured(task)

    def predict(self, inputs: Any) -> NDArray[np.float32]:
        """Return outputs, before a softmax where classes are learned."""
        moved = mapped(inputs, lambda one: on_device(one, self._device))
        whole = laid_out(moved, self._layout)
        count, size = len(tensors_of(whole)[0]), self._evaluation_batch
        with self._evaluating():
            outputs = torch.cat(
                [
                    self._pass(*tensors_of(cut(whole, start, start + size)))
                    for start in range(0, count, size)
                ]
            )
        found: NDArray[np.float32] = outputs.float().cpu().numpy()
        return found

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
        """Go on from weights, running statistics and what the optimiser keeps, by name."""
        assert isinstance(self._optimizer, Functional)
        for name, tensor in chain(self._module.named_parameters(), self._module.named_buffers()):
            tensor.detach().copy_(tensors[name])
        trained = (name for name, each in self._module.named_parameters() if each.requires_grad)
        self._optimizer.resume(map(moments.get, trained), steps)
        self._rates.steps = steps
        return self

    def count_train_flops(self) -> int:
        """Count one batch by torch's own formulas, on a pass whose traces are removed.

        Raises
        ------
        UncountedFlopsError
            If an operator ran that no formula knows.
        """
        tensors = chain(self._module.named_parameters(), self._module.named_buffers())
        state = {name: one.detach().clone() for name, one in tensors}
        inputs, targets = self._train.first(self._request.batch_size)
        self._module.train()
        with (
            memory_errors_translated(),
            self._own_state(goes_on=False),
            self._rounding(),
            self._ranks.alone(self._module) if self._ranks is not None else nullcontext(),
            FlopCounter() as counter,
        ):
            with self._forward_passes:
                loss = self._loss(call(self._module, copied(inputs)), targets)
            loss.backward()  # type: ignore[no-untyped-call]
        self._restore(state)
        self._optimizer.zero_grad()
        return math.ceil(counter.total / len(targets))

    def _fed(
        self, order: NDArray[np.int64], size: int
    ) -> tuple[Callable[..., None], Iterator[tuple[Tensor, ...]]]:
        """Return what trains on a batch, and what it is given of each."""
        train = self._train
        if isinstance(train, Held):
            positions = torch.split(torch.from_numpy(order).to(self._device), size)
            if self._augmenter is None:
                return self._step, ((batch,) for batch in positions)
            return self._step_on, (self._varied(*train.take(batch)) for batch in positions)
        starts = range(0, len(order), size)
        return self._step_on, (
            self._varied(*train.fetch(order[start : start + size])) for start in starts
        )

    def _varied(self, inputs: Inputs, targets: Tensor) -> tuple[Tensor, ...]:
        if self._augmenter is not None:
            assert isinstance(inputs, Tensor)
            inputs = self._augmenter(inputs)
        return (*tensors_of(laid_out(inputs, self._layout)), targets)

    def _step(self, batch: Tensor, *rate: Tensor) -> None:
        """Train on the samples at positions; all that it changes stays where it is."""
        # To take samples forgets the layout.
        assert isinstance(self._train, Held)
        inputs, targets = self._train.take(batch)
        self._learn(laid_out(inputs, self._layout), targets, rate)

    def _step_on(self, *given: Tensor) -> None:
        """Train on inputs and targets that were fetched or varied."""
        count = len(tensors_of(self._inputs))
        self._learn(like(self._inputs, given[:count]), given[count], given[count + 1 :])

    def _learn(self, inputs: Inputs, targets: Tensor, rate: tuple[Tensor, ...]) -> None:
        """Train on a batch, at a learning rate that is a tensor, if there is one."""
        if rate:
            self._optimizer.learning_rate = rate[0]
        self._optimizer.zero_grad()
        with self._forward_passes, self._layers:
            loss = self._loss(call(self._trained, inputs), targets)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        # It reads the groups of parameters, and calls `step`.
        self._scaler.step(self._optimizer)  # type: ignore[arg-type]
        self._scaler.update()
        self._total.add_(loss.detach(), alpha=len(targets))

    def _changed(self) -> Iterator[Tensor]:
        """Yield the tensors that a step changes."""
        yield from self._module.parameters()
        yield from self._module.buffers()
        yield from self._optimizer.tensors()
        yield self._total

    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name, one in chain(self._module.named_parameters(), self._module.named_buffers()):
            # Buffers may appear, or grow, with what a network sees.
            if name in tensors and one.shape == tensors[name].shape:
                one.detach().copy_(tensors[name])

    def _answers(self, split: str, reads: Collection[str]) -> Answers:
        answers = Answers(reads, self._loss)
        name, loss = self._request.architecture.name, self._request.task.loss
        with memory_errors_translated(), self._evaluating():
            for inputs, targets in self._splits[split].parts(self._evaluation_batch):
                outputs = self._part(inputs)
                check_shape(name, outputs.shape, targets.shape, loss)
                answers.add(outputs, targets)
        return answers

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        self._module.eval()
        with self._own_state(goes_on=False), self._without_gradients(), self._rounding():
            yield

    def _part(self, inputs: Inputs) -> Tensor:
        tensors = tensors_of(inputs)
        if len(tensors[0]) == self._evaluation_batch:
            outputs = self._replayed_pass(self._pass, self._module.buffers, *tensors)
            assert outputs is not None
            return outputs
        return self._pass(*tensors)

    def _pass(self, *tensors: Tensor) -> Tensor:
        # Autocast keeps weights that it has cast until it ends: each pass casts its own, so that
        # a graph does, too.
        with self._forward_passes:
            outputs: Tensor = call(self._module, copied(like(self._inputs, tensors)))
            return outputs

    def _weight_tensors(self) -> list[Tensor]:
        return list(chain.from_iterable(map(_tensors, self._module.modules())))


class _Rates:
    """The learning rates of steps, which it counts; nothing where they are constant.

    On a GPU they are tensors, which graphs read.
    """

    def __init__(
        self, request: BuildRequest, optimizer: Any, device: torch.device, *, reads: bool
    ) -> None:
        self.steps = 0
        self._factors = learning_factors(request)
        self._base = optimizer.base_rate
        is_tensor = optimizer.obstacle is None and (reads or device.type == "cuda")
        self._device = device if is_tensor else None

    def take(self, count: int) -> Iterable[float | Tensor | None]:
        """Return the rates of the next steps."""
        if self._factors is None:
            return repeat(None)
        rates = self._base * factors_of(self._factors, self.steps, count)
        self.steps += count
        if self._device is None:
            return map(float, rates)
        # Sent to the device at once: a copy a step would wait for the step before.
        return torch.from_numpy(rates).float().to(self._device).unbind()


def _tensors(layer: nn.Module) -> list[Tensor]:
    buffers = layer.named_buffers(recurse=False)
    running = [buffer for name, buffer in buffers if name.startswith("running_")]
    return [*layer.parameters(recurse=False), *running]
