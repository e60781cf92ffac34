"""Costs of any torch module: parameters and training FLOPs, by a pass that leaves no trace."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from greenbench.backends.process_state import random_numbers_of, random_states
from greenbench.backends.torch_flops import FlopCounter
from greenbench.errors import UncountedFlopsError


def count(module: nn.Module, inputs: Any) -> tuple[int, int | None, tuple[str, ...]]:
    """Return trainable parameters, FLOPs of a sample forward and backward, and what is unknown.

    Parameters
    ----------
    module : torch.nn.Module
        Called with the inputs; gradients are those of the sum of its outputs, or of its ``loss``.
    inputs : Tensor, sequence or mapping of Tensor
        A batch.
    """
    wanted = [each for each in module.parameters() if each.requires_grad]
    grads = [each.grad for each in wanted]
    buffers = [(each, each.detach().clone()) for each in module.buffers()]
    modes = [(each, each.training) for each in module.modules()]
    for each in wanted:
        each.grad = None
    try:
        module.train()
        with random_numbers_of(random_states(), goes_on=False), torch.enable_grad():
            flops, unknown = _flops(module, inputs)
    finally:
        for each, grad in zip(wanted, grads, strict=True):
            each.grad = grad
        for buffer, kept in buffers:
            with torch.no_grad():
                buffer.copy_(kept)
        for part, was_training in modes:
            part.training = was_training
    return sum(each.numel() for each in wanted), flops, unknown


def _flops(module: nn.Module, inputs: Any) -> tuple[int | None, tuple[str, ...]]:
    with FlopCounter() as counter:
        if isinstance(inputs, Mapping):
            outputs = module(**inputs)
        elif isinstance(inputs, Sequence):
            outputs = module(*inputs)
        else:
            outputs = module(inputs)
        loss = getattr(outputs, "loss", None)
        found = [loss] if isinstance(loss, Tensor) else list(_tensors(outputs))
        sums = [each.sum() for each in found if each.requires_grad]
        if sums:
            torch.stack([each.float() for each in sums]).sum().backward()  # type: ignore[no-untyped-call]
    samples = max(len(next(_tensors(inputs))), 1)
    try:
        return math.ceil(counter.total / samples), ()
    except UncountedFlopsError as error:
        return None, error.operators


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
