"""Optimisers for torch: the library's own functions, without the imports of its classes.

Building one of its classes imports PyTorch's compiler, which took four seconds of CPU time before
the first step, and is never used here. So that is left to optimisers which have no function here.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn, zeros, zeros_like
from torch.optim.adadelta import adadelta
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from greenbench.backends.known import optimizer_error
from greenbench.errors import ConfigurationError
from greenbench.optimizers import (
    AdadeltaOptions,
    AdagradOptions,
    AdamOptions,
    AdamWOptions,
    LionOptions,
    OptimizerOptions,
    RMSpropOptions,
    SGDOptions,
)

Moments = tuple[Tensor, ...]
"""What an optimiser keeps of a parameter; of Adam, means of its gradient and of its square."""

Rate = float | Tensor
Tensors = list[Tensor]


class Moved(NamedTuple):
    """The parameters that have a gradient, and what a rule updates them by."""

    parameters: Tensors
    gradients: Tensors
    kept: list[Tensors]
    steps: Tensors
    rate: Rate
    on_gpu: bool


Rule = Callable[[Any, Moved], None]
"""Updates parameters, as options say."""


class Optimizer(Protocol):
    """What updates parameters, and `torch.amp.GradScaler` reads.

    Attributes
    ----------
    learning_rate : float or Tensor
        Of the next step; set before a step where a schedule says so.
    base_rate : float
        What the schedule's factors are multiplied by.
    obstacle : str or None
        What is against replaying its steps as a CUDA graph.
    """

    learning_rate: Rate
    base_rate: float
    obstacle: str | None

    def zero_grad(self) -> None:
        """Forget all gradients."""

    def step(self) -> None:
        """Update the parameters that have a gradient."""

    def tensors(self) -> Iterator[Tensor]:
        """Yield all that a step changes, but for the parameters."""


class Functional:
    """An optimiser by a rule; all that it keeps begins as zeros.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
        What to train.
    options : OptimizerOptions
        How, with a learning rate.

    Attributes
    ----------
    param_groups : list of dict
        What `torch.amp.GradScaler` reads.
    """

    obstacle: str | None = None

    def __init__(self, parameters: Iterable[nn.Parameter], options: Any) -> None:
        self._parameters = [each for each in parameters if each.requires_grad]
        self.param_groups = [{"params": self._parameters}]
        self.base_rate: float = options.learning_rate
        self.learning_rate: Rate = self.base_rate
        slots, rule = _RULES[type(options)]
        self._on_gpu = bool(self._parameters) and self._parameters[0].is_cuda
        self._rule: Callable[[Moved], None] = partial(rule, options)
        kept = slots(options) if callable(slots) else slots
        self._kept = [[zeros_like(each) for each in self._parameters] for _ in range(kept)]
        # Where the parameters are: a graph changes nothing in the CPU's memory.
        self._steps = [zeros((), device=each.device) for each in self._parameters]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self) -> None:
        """Update the parameters that have a gradient."""
        states = zip(self._parameters, self._steps, *self._kept, strict=True)
        moved = [(p, p.grad, *state) for p, *state in states if p.grad is not None]
        if not moved:
            return
        columns: list[Any] = [list(each) for each in zip(*moved, strict=True)]
        parameters, gradients, steps, *kept = columns
        rate, on_gpu = self.learning_rate, self._on_gpu
        self._rule(Moved(parameters, gradients, kept, steps, rate, on_gpu))

    def resume(self, moments: Iterable[Moments | None], steps: int) -> None:
        """Go on from a state, given in the order of the parameters."""
        for index, given in enumerate(moments):
            if given is not None:
                for kept, values in zip(self._kept, given, strict=True):
                    kept[index].copy_(values)
                self._steps[index].fill_(steps)

    def tensors(self) -> Iterator[Tensor]:
        """Yield all that a step changes, but for the parameters."""
        for kept in self._kept:
            yield from kept
        yield from self._steps


class OfClass:
    """An optimiser as one of torch's classes, or of the user's, has it."""

    # It makes what it keeps at its first step, and may count in Python.
    obstacle: str | None = "its optimiser is a class, which may keep what no graph sees"
    base_rate = 1.0

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self.zero_grad = optimizer.zero_grad
        self.step = optimizer.step

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """What `torch.amp.GradScaler` reads."""
        return self._optimizer.param_groups

    @property
    def learning_rate(self) -> Rate:
        """By what the learning rate of each group is multiplied."""
        return 1.0

    @learning_rate.setter
    def learning_rate(self, factor: Rate) -> None:
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def tensors(self) -> Iterator[Tensor]:
        """Yield nothing: it is never replayed."""
        yield from ()


def make_optimizer(
    parameters: Iterable[nn.Parameter], options: OptimizerOptions
) -> Functional | OfClass:
    """Return what trains parameters.

    Raises
    ------
    ConfigurationError
        If the optimiser is none of torch's, or cannot train these parameters.
    """
    if type(options) in _RULES:
        return Functional(parameters, options)
    build = getattr(options, "build_torch", None)
    if build is None:
        raise optimizer_error("torch", options.name)
    trained = [each for each in parameters if each.requires_grad]
    try:
        built = build(trained)
    except (TypeError, ValueError) as error:
        line = str(error).strip().partition("\n")[0]
        raise ConfigurationError(
            f"optimizer {options.name!r} cannot train this network: {line}; choose another one, "
            "or other options"
        ) from error
    if not isinstance(built, torch.optim.Optimizer):
        raise ConfigurationError(
            f"optimizer {options.name!r}: build_torch returned a {type(built).__name__}; expected "
            "a torch.optim.Optimizer"
        )
    return OfClass(built)


def _adam(options: Any, moved: Moved) -> None:
    means, squares = moved.kept
    function = adamw if isinstance(options, AdamWOptions) else adam
    function(
        moved.parameters,
        moved.gradients,
        means,
        squares,
        [],
        moved.steps,
        fused=True,
        amsgrad=False,
        beta1=options.beta1,
        beta2=options.beta2,
        lr=moved.rate,
        weight_decay=options.weight_decay,
        eps=options.epsilon,
        maximize=False,
    )


def _sgd(options: SGDOptions, moved: Moved) -> None:
    kept: Any = moved.kept[0] if moved.kept else []
    sgd(
        moved.parameters,
        moved.gradients,
        kept,
        fused=True,
        weight_decay=options.weight_decay,
        momentum=options.momentum,
        lr=moved.rate,
        dampening=0.0,
        nesterov=options.nesterov,
        maximize=False,
    )


@torch.no_grad()
def _rmsprop(options: RMSpropOptions, moved: Moved) -> None:
    rmsprop(
        moved.parameters,
        moved.gradients,
        moved.kept[0],
        [],
        moved.kept[1] if options.momentum else [],
        moved.steps,
        foreach=True,
        capturable=moved.on_gpu,
        lr=moved.rate,
        alpha=options.rho,
        eps=options.epsilon,
        weight_decay=options.weight_decay,
        momentum=options.momentum,
        centered=False,
    )


@torch.no_grad()
def _adagrad(options: AdagradOptions, moved: Moved) -> None:
    # A kernel that GPUs lack. What they have instead reads steps back, and for nothing: the rate
    # does not decay by them. So it gets some that it need not wait for.
    is_fused = moved.parameters[0].device.type == "cpu"
    adagrad(
        moved.parameters,
        moved.gradients,
        moved.kept[0],
        moved.steps if is_fused else [zeros(()) for _ in moved.steps],
        fused=is_fused,
        foreach=moved.on_gpu,
        lr=moved.rate,
        weight_decay=options.weight_decay,
        lr_decay=0.0,
        eps=options.epsilon,
        maximize=False,
    )


@torch.no_grad()
def _adadelta(options: AdadeltaOptions, moved: Moved) -> None:
    squares, deltas = moved.kept
    adadelta(
        moved.parameters,
        moved.gradients,
        squares,
        deltas,
        moved.steps,
        foreach=True,
        capturable=moved.on_gpu,
        lr=moved.rate,
        rho=options.rho,
        eps=options.epsilon,
        weight_decay=options.weight_decay,
        maximize=False,
    )


@torch.no_grad()
def _lion(options: LionOptions, moved: Moved) -> None:
    """Update after algorithm 2 of Chen et al. 2023, arXiv 2302.06675."""
    parameters, gradients, rate = moved.parameters, moved.gradients, moved.rate
    (means,) = moved.kept
    moves: Any = torch._foreach_mul(means, options.beta1)
    torch._foreach_add_(moves, gradients, alpha=1 - options.beta1)
    torch._foreach_sign_(moves)
    if options.weight_decay:
        torch._foreach_mul_(parameters, 1 - rate * options.weight_decay)
    if isinstance(rate, Tensor):
        # As a number of another operator it would be read back.
        torch._foreach_mul_(moves, -rate)
        torch._foreach_add_(parameters, moves)
    else:
        torch._foreach_add_(parameters, moves, alpha=-rate)
    torch._foreach_mul_(means, options.beta2)
    torch._foreach_add_(means, gradients, alpha=1 - options.beta2)


_RULES: dict[type[Any], tuple[Any, Rule]] = {
    AdamOptions: (2, _adam),
    AdamWOptions: (2, _adam),
    SGDOptions: (lambda options: 1 if options.momentum else 0, _sgd),
    RMSpropOptions: (lambda options: 2 if options.momentum else 1, _rmsprop),
    AdagradOptions: (1, _adagrad),
    AdadeltaOptions: (2, _adadelta),
    LionOptions: (1, _lion),
}
"""How many tensors are kept of a parameter, and the rule."""
