"""Fused Adam for torch: the library's own kernel, without the imports of its class."""

from collections.abc import Iterable, Iterator

from torch import Tensor, nn, zeros, zeros_like
from torch.optim.adam import adam

from greenbench.backends.base import AdamOptions

Moments = tuple[Tensor, Tensor]
"""Adam's means of a parameter's gradient, and of its square."""


class FusedAdam:
    """``torch.optim.Adam(..., fused=True)``, bit for bit.

    Building that class imports PyTorch's compiler, which took four seconds of CPU time before
    the first step, and is never used here.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
        What to train.
    options : AdamOptions
        How.

    Attributes
    ----------
    param_groups : list of dict
        What `torch.amp.GradScaler` reads.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], options: AdamOptions) -> None:
        self._parameters = [each for each in parameters if each.requires_grad]
        self.param_groups = [{"params": self._parameters}]
        self._options = options
        self._means = [zeros_like(each) for each in self._parameters]
        self._squares = [zeros_like(each) for each in self._parameters]
        self._steps = [zeros((), device=each.device) for each in self._parameters]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self) -> None:
        """Update the parameters that have a gradient."""
        states = zip(self._parameters, self._means, self._squares, self._steps, strict=True)
        moved = [(p, p.grad, *state) for p, *state in states if p.grad is not None]
        if not moved:
            return
        parameters, gradients, means, squares, steps = map(list, zip(*moved, strict=True))
        adam(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=self._options.beta1,
            beta2=self._options.beta2,
            lr=self._options.learning_rate,
            weight_decay=self._options.weight_decay,
            eps=self._options.epsilon,
            maximize=False,
        )

    def resume(self, moments: Iterable[Moments | None], steps: int) -> None:
        """Go on from a state, given in the order of the parameters."""
        kept = zip(self._means, self._squares, self._steps, moments, strict=True)
        for mean, square, step, given in kept:
            if given is not None:
                mean.copy_(given[0])
                square.copy_(given[1])
                step.fill_(steps)

    def tensors(self) -> Iterator[Tensor]:
        """Yield all that a step changes, but for the parameters."""
        yield from self._means
        yield from self._squares
        yield from self._steps
