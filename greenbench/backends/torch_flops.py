"""FLOPs by PyTorch's own formulas, without the imports of its counter; names what has none."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from greenbench.backends.torch_operators import counts_nothing
from greenbench.errors import UncountedFlopsError

RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_GROUPS = 9
"""Where an operator of convolutions has their number of groups."""

LEAVES_TORCH = frozenset({"numpy", "__array__", "__dlpack__"})


def _matrix_vector(*arguments: Any, **_: Any) -> int:
    # The matrix comes before the vector, and both behind what is added.
    return 2 * int(arguments[-2].numel())


def _sum_of_products(_added: Any, first: Tensor, second: Tensor, **_: Any) -> int:
    return 2 * first.numel() * second.shape[-1]


def _affine_grid(theta: Tensor, *_: Any, out_val: Tensor) -> int:
    return 2 * theta.shape[-1] * out_val.numel()


def _distances(first: Tensor, _second: Tensor, *, out_val: Tensor) -> int:
    # One product of points that have two more coordinates.
    return 2 * (first.shape[-1] + 2) * out_val.numel()


def _grouped_convolution_backward(
    gradient: Tensor, inputs: Tensor, weight: Tensor, *others: Any, **_: Any
) -> int:
    is_transposed, needed = others[-4], others[-1]
    # Each weight meets each position of the smaller of both once, in either gradient.
    positions = math.prod((inputs if is_transposed else gradient).shape[2:])
    return int(sum(needed[:2])) * 2 * len(inputs) * positions * weight.numel()


# What torch has no formula for, though it is a product of matrices: 2 a multiply-add.
_OWN: Mapping[str, Callable[..., int]] = {
    "mv": _matrix_vector,
    "addmv": _matrix_vector,
    "dot": _matrix_vector,
    "vdot": _matrix_vector,
    "addbmm": _sum_of_products,
    "affine_grid_generator": _affine_grid,
    "_euclidean_dist": _distances,
}


class FlopCounter:
    """Counts what runs while it is entered, as `torch.utils.flop_counter.FlopCounterMode` does.

    Recurrent layers are run without the kernels of cuDNN and oneDNN, which hide their products:
    their count is that of one product a step, on every device.
    """

    def __init__(self) -> None:
        self._seen: Any = _CountingMode()
        self._modes = ExitStack()

    def __enter__(self) -> "FlopCounter":
        self._modes.enter_context(_WatchingMode(self._seen.unknown))
        self._modes.enter_context(self._seen)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._modes.close()

    @property
    def total(self) -> int:
        """Multiplications and additions, each counted as one.

        Raises
        ------
        UncountedFlopsError
            If something ran whose FLOPs are not known.
        """
        if self._seen.unknown:
            raise UncountedFlopsError(sorted(self._seen.unknown))
        return int(self._seen.total)


class _Counting:
    # In a base class, because PyTorch wraps what a mode itself defines in its compiler, whose
    # import takes four seconds of CPU time. So it does with its own `FlopCounterMode`.
    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.unknown: set[str] = set()

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        options = options or {}
        formula = _formula(operation)
        if formula is None and not counts_nothing(operation):
            # In inference mode operators arrive whole that are made of others. Tensors of a kind
            # of their own may take an operator only as it is.
            if isinstance(operation, OpOverload) and not types:
                with self:  # type: ignore[attr-defined]
                    parts = operation.decompose(*arguments, **options)
                if parts is not NotImplemented:
                    return parts
            self.unknown.add(_name(operation))
        result = operation(*arguments, **options)
        if formula is not None:
            if all(map(_is_plain, arguments)):
                self.total += formula(*arguments, **options, out_val=result)
            else:
                self.unknown.add(f"{_name(operation)} of sparse or complex numbers")
        return result


class _CountingMode(_Counting, TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each operator that runs, those of the backward pass too."""


class _WatchingMode(TorchFunctionMode):
    """Sees functions before they become operators."""

    def __init__(self, unknown: set[str]) -> None:
        super().__init__()
        self._unknown = unknown

    def __torch_function__(
        self,
        function: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options, name = kwargs or {}, getattr(function, "__name__", "")
        if name in RECURRENT:
            with _plain_kernels():
                return function(*args, **options)
        if name in LEAVES_TORCH and args[0].is_floating_point():
            # What NumPy or another library computes, nobody sees.
            self._unknown.add(f"Tensor.{name}")
        return function(*args, **options)


@contextmanager
def _plain_kernels() -> Iterator[None]:
    kernels: list[Any] = [torch.backends.cudnn, torch.backends.mkldnn]
    before = [each.enabled for each in kernels]
    try:
        for each in kernels:
            each.enabled = False
        yield
    finally:
        for each, was_enabled in zip(kernels, before, strict=True):
            each.enabled = was_enabled


def _convolution_backward(*arguments: Any, **options: Any) -> int:
    """Count as torch does, which takes no notice of groups for the gradient of the weight."""
    if arguments[_GROUPS] > 1:
        return _grouped_convolution_backward(*arguments)
    return int(flop_registry[torch.ops.aten.convolution_backward](*arguments, **options))


@cache
def _formula(operation: Any) -> Callable[..., int] | None:
    packet = getattr(operation, "_overloadpacket", operation)
    if packet is torch.ops.aten.convolution_backward:
        return _convolution_backward
    found: Callable[..., int] | None = flop_registry.get(packet)
    if found is None and isinstance(operation, OpOverload) and operation.namespace == "aten":
        # A form that works in place computes the same.
        name = packet.__name__.removesuffix("_")
        found = flop_registry.get(getattr(torch.ops.aten, name, None)) or _OWN.get(name)
    return found


def _name(operation: Any) -> str:
    return str(getattr(operation, "_overloadpacket", operation))


def _is_plain(argument: Any) -> bool:
    if not isinstance(argument, Tensor):
        return True
    return argument.layout is torch.strided and not argument.is_complex()
