"""Batched torch models: k models of one architecture, trained as one vectorised model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, vmap

from greenbench.backends.base import (
    EVALUATION_BATCH,
    AdamOptions,
    BuildRequest,
    TrainableModel,
    learning_factors,
    memory_errors_translated,
)
from greenbench.backends.checks import check_shape
from greenbench.backends.process_state import OwnState
from greenbench.backends.torch_data import Held, Streamed
from greenbench.backends.torch_few_channels import FewChannels
from greenbench.backends.torch_graphs import ByLength, Replayed
from greenbench.backends.torch_losses import counts_hits, loss_of
from greenbench.backends.torch_optimizers import Moments
from greenbench.errors import ArchitectureError

Resume = Callable[[int, Mapping[str, Tensor], Mapping[str, Moments], int], TrainableModel]
"""Returns the model of a lane, by its tensors, its moments and the steps that it has done."""


def check_vectorised(
    requests: Sequence[BuildRequest], splits: Mapping[str, Held | Streamed], augmentation: Any
) -> dict[str, Held]:
    """Return the splits, if models of these requests can be trained as one on them.

    Raises
    ------
    ArchitectureError
        If they differ in more than rows of numbers: they are trained one after the other.
    """
    first = requests[0]
    held = {name: each for name, each in splits.items() if isinstance(each, Held)}
    targets = held["train"].targets if "train" in held else None
    obstacles = {
        f"with the optimizer {first.optimizer.name!r}": type(first.optimizer) is not AdamOptions,
        f"with the schedule {first.schedule.name!r}": learning_factors(first) is not None,
        f"for the task {first.task.name!r}": not counts_hits(first.task)
        or (targets is not None and targets.ndim > 1),
        "from streamed data": len(held) < len(splits),
        "from several named inputs": any(isinstance(each.inputs, dict) for each in held.values()),
        "from images that are varied": bool(augmentation),
    }
    for obstacle, is_there in obstacles.items():
        if is_there:
            raise ArchitectureError(
                f"architecture {first.architecture.name!r}: {obstacle}, trials cannot be trained "
                "as one, only one after the other: leave --batched-trials out"
            )
    return held


class TorchBatch:
    """Lanes of one architecture, each with its own weights, statistics, Adam and samples.

    No random numbers are drawn: a layer that needs some is refused, because what a lane draws
    would depend on which other lanes there are.

    Parameters
    ----------
    module : torch.nn.Module
        Computes all lanes, with their weights in the place of its own.
    initial : iterator of torch.nn.Module
        One a lane, with its initial weights, on the device; they may be one and the same, whose
        weights change from one to the next.
    requests : sequence of BuildRequest
        What they were built from; they differ in optimiser and seed only.
    splits : mapping of str to Held
        Inputs and targets on the device; inputs have no names.
    resume : callable
        Makes an ordinary model of a lane.
    replayed : tuple of ByLength and Replayed
        Replay a step of all lanes, Adam included, and outputs on full parts.
    """

    def __init__(
        self,
        module: nn.Module,
        initial: Iterator[nn.Module],
        requests: Sequence[BuildRequest],
        splits: Mapping[str, Held],
        *,
        resume: Resume,
        replayed: tuple[ByLength, Replayed],
    ) -> None:
        self._splits = splits
        self._resume = resume
        self._name = requests[0].architecture.name
        self._criterion = loss_of(requests[0].task)
        self._own_state = OwnState(requests[0].architecture)
        self._batch_size = requests[0].batch_size
        rows, fixed = [], []
        for lane in initial:
            rows.append(torch.cat([each.detach().flatten() for _, each in _trained(lane)]))
            fixed.append({name: each.detach().clone() for name, each in _fixed(lane)})
        self._module = module
        self._shapes = {name: parameter.shape for name, parameter in _trained(module)}
        # All parameters of a lane in one row, so that Adam takes a few operations a step,
        # however many layers there are.
        self._weights = torch.stack(rows)
        self._fixed = _stacked(fixed)
        # A CPU is not left idle by PyTorch's own.
        on_gpu = self._weights.device.type == "cuda"
        self._layers = FewChannels(lanes=True) if on_gpu else nullcontext()
        self._adam = _Adam(
            [cast("AdamOptions", each.optimizer) for each in requests], self._weights
        )
        self._total = self._weights.new_zeros(len(rows))
        self._replayed_steps, self._replayed_pass = replayed

    def train_epoch(self, orders: NDArray[np.int64]) -> NDArray[np.float64]:
        """Train each lane once on the samples in its row; losses are read back once."""
        self._module.train()
        count = orders.shape[1]
        self._total.zero_()
        with (
            memory_errors_translated(),
            self._own_state(goes_on=True),
            _randomness_refused(self._name),
        ):
            on_device = torch.from_numpy(orders).to(self._total.device)
            batches = torch.split(on_device, self._batch_size, dim=1)
            for batch, rates in zip(batches, self._adam.rates(len(batches)), strict=True):
                replayed = self._replayed_steps[batch.shape[1]]
                replayed(self._step, self._changed, batch, rates)
            self._adam.steps += len(batches)
            means: NDArray[np.float64] = self._total.cpu().double().numpy() / count
            return means

    def evaluate(self, split: str) -> NDArray[np.float64]:
        """Return each lane's accuracy in inference mode, in batches as large as one model's."""
        self._module.eval()
        held = self._splits[split]
        size = max(EVALUATION_BATCH // len(self._weights), self._batch_size)
        with memory_errors_translated(), self._own_state(goes_on=False), torch.inference_mode():
            correct: Any = 0
            for part, answers in held.parts(size):
                assert isinstance(part, Tensor)
                if len(part) == size:
                    given = self._replayed_pass(self._pass, self._fixed.values, part)
                else:
                    given = self._pass(part)
                assert given is not None
                check_shape(self._name, given.shape[1:], answers.shape)
                correct += (given.argmax(dim=-1) == answers).sum(dim=1)
            accuracies: NDArray[np.float64] = torch.as_tensor(correct).cpu().double().numpy()
            return accuracies / len(held)

    def lane(self, index: int) -> TrainableModel:
        """Return a lane as a model of its own, which goes on where the lane is."""
        parameters = self._parameters(self._weights[index : index + 1])
        means, squares = (
            self._parameters(moment[index : index + 1]) for moment in self._adam.moments
        )
        tensors = {
            **{name: stacked[0] for name, stacked in parameters.items()},
            **{name: stacked[index] for name, stacked in self._fixed.items()},
        }
        moments = {name: (means[name][0], squares[name][0]) for name in parameters}
        with memory_errors_translated():
            return self._resume(index, tensors, moments, self._adam.steps)

    def _step(self, batch: Tensor, rates: Tensor) -> None:
        """Train all lanes on a batch; all that it changes stays where it is."""
        losses, gradient = self._differentiate(batch)
        self._adam.step(self._weights, gradient, rates)
        self._total.add_(losses, alpha=batch.shape[1])

    def _changed(self) -> Iterator[Tensor]:
        """Yield the tensors that a step changes."""
        yield self._weights
        yield self._total
        yield from self._fixed.values()
        yield from self._adam.moments

    def _differentiate(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        held = self._splits["train"]
        assert isinstance(held.inputs, Tensor)
        weights = self._weights.detach().requires_grad_()
        # Faster than indexing.
        inputs, answers = (
            each.index_select(0, batch.flatten()).view(*batch.shape, *each.shape[1:])
            for each in (held.inputs, held.targets)
        )
        with self._layers:
            losses = vmap(self._loss)(self._parameters(weights), self._fixed, inputs, answers)
        # Lanes share nothing, so the gradient of the sum is each lane's own.
        (gradient,) = torch.autograd.grad(losses, weights, torch.ones_like(losses))
        return losses.detach(), gradient

    def _loss(
        self,
        parameters: dict[str, Tensor],
        fixed: dict[str, Tensor],
        images: Tensor,
        labels: Tensor,
    ) -> Tensor:
        return self._criterion(self._outputs(parameters, fixed, images), labels)

    def _pass(self, images: Tensor) -> Tensor:
        # A copy: a forward pass may work in place on what it gets.
        vectorised = vmap(self._outputs, in_dims=(0, 0, None))
        outputs: Tensor = vectorised(self._parameters(self._weights), self._fixed, images.clone())
        return outputs

    def _outputs(
        self, parameters: dict[str, Tensor], fixed: dict[str, Tensor], images: Tensor
    ) -> Tensor:
        outputs: Tensor = functional_call(self._module, (parameters, fixed), (images,))
        return outputs

    def _parameters(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the parameters that rows hold, by name, with an axis of lanes in front."""
        parts = torch.split(rows, [shape.numel() for shape in self._shapes.values()], dim=1)
        named = zip(self._shapes.items(), parts, strict=True)
        return {name: part.view(len(rows), *shape) for (name, shape), part in named}


class _Adam:
    """Adam with hyperparameters of their own for each row; the formula of `torch.optim.Adam`."""

    def __init__(self, options: Sequence[AdamOptions], rows: Tensor) -> None:
        self.steps = 0
        self.moments: Moments = (torch.zeros_like(rows), torch.zeros_like(rows))
        self._learning_rate, self._beta1, self._beta2, epsilon, decay = (
            np.array([[getattr(each, name)] for each in options], np.float64)
            for name in ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay")
        )
        # Differences from 1 lose digits in single precision: they are taken before.
        self._share1, self._share2, self._epsilon, self._decay = (
            _like(rows, values) for values in (1 - self._beta1, 1 - self._beta2, epsilon, decay)
        )
        self._decays = bool(decay.any())

    def rates(self, steps: int) -> Tensor:
        """Return the step sizes and the scales of the root of the next steps: (n, 2, rows, 1)."""
        # Sent to the device at once: a copy a step would wait for the step before.
        powers = np.arange(self.steps + 1, self.steps + steps + 1)[:, None, None]
        sizes = self._learning_rate / (1 - self._beta1**powers)
        scales = 1 / np.sqrt(1 - self._beta2**powers)
        return _like(self._share1, np.stack([sizes, scales], axis=1))

    def step(self, rows: Tensor, gradient: Tensor, rates: Tensor) -> None:
        """Update `rows` in place; whoever calls counts the steps."""
        size, scale = rates
        mean, square = self.moments
        if self._decays:
            gradient = torch.addcmul(gradient, rows, self._decay)
        mean.lerp_(gradient, self._share1)
        square.lerp_(gradient.square(), self._share2)
        root = torch.addcmul(self._epsilon, square.sqrt(), scale)
        rows.addcdiv_(mean * size, root, value=-1)


def _like(tensor: Tensor, values: NDArray[np.float64]) -> Tensor:
    # On the CPU to single precision: not every device has double.
    return torch.from_numpy(values).to(tensor.dtype).to(tensor.device)


def _trained(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, each) for name, each in module.named_parameters() if each.requires_grad)


def _fixed(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield what the optimiser leaves alone: running statistics, and parameters that are frozen."""
    yield from module.named_buffers()
    yield from ((name, each) for name, each in module.named_parameters() if not each.requires_grad)


def _stacked(lanes: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([lane[name] for lane in lanes]) for name in lanes[0]}


@contextmanager
def _randomness_refused(name: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "randomness" not in str(error):
            raise
        raise ArchitectureError(
            f"architecture {name!r} draws random numbers in training, such as dropout does, and "
            "cannot be trained in batches of trials: leave --batched-trials out"
        ) from error
