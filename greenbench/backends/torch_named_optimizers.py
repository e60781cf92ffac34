"""Optimisers of ``torch.optim`` by name: ``torch_nadam`` is `torch.optim.NAdam`."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from greenbench.errors import UnknownNameError
from greenbench.optimizers import OptimizerOptions
from greenbench.optimizers.native import find, options_of

PREFIX = "torch_"
# How it computes, or what would climb up the loss.
_LEFT_OUT = ("foreach", "fused", "maximize", "capturable", "differentiable")


def options_by_name(name: str) -> type[OptimizerOptions]:
    """Return the options of an optimiser that torch has.

    Parameters
    ----------
    name : str
        ``torch_`` and the name of the class in lower case.

    Raises
    ------
    UnknownNameError
        If torch has none of that name which trains by gradients alone.
    """
    classes = {each.__name__: each for each in vars(torch.optim).values() if _is_usable(each)}
    optimizer = find(name.removeprefix(PREFIX), classes)
    if optimizer is None:
        known = sorted(PREFIX + each.lower() for each in classes)
        raise UnknownNameError("optimizer", name, known, f"PyTorch {torch.__version__} has these")

    def build(arguments: Callable[[Any], dict[str, Any]]) -> Callable[..., Any]:
        def build_torch(self: Any, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            built: torch.optim.Optimizer = optimizer(parameters, **arguments(self))
            return built

        return build_torch

    return options_of(name, optimizer, build, _LEFT_OUT)


def _is_usable(thing: Any) -> bool:
    if not isinstance(thing, type) or not issubclass(thing, torch.optim.Optimizer):
        return False
    if thing in (torch.optim.Optimizer, torch.optim.SparseAdam):
        return False
    # One that calls the loss again and again, such as L-BFGS, takes no batch by batch.
    closure = inspect.signature(thing.step).parameters.get("closure")
    return closure is None or closure.default is not inspect.Parameter.empty
