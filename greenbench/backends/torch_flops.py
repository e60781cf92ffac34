"""FLOPs by PyTorch's own formulas, without the imports of its counter."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class _Counting:
    # In a base class, because PyTorch wraps what a mode itself defines in its compiler, whose
    # import takes four seconds of CPU time. So it does with its own `FlopCounterMode`.
    total: int = 0

    def __torch_dispatch__(
        self,
        operation: Any,
        _types: Sequence[type],
        arguments: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        options = options or {}
        result = operation(*arguments, **options)
        formula = flop_registry.get(operation._overloadpacket)
        if formula is not None:
            self.total += formula(*arguments, **options, out_val=result)
        return result


class FlopCounter(_Counting, TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what runs while it is entered, as `torch.utils.flop_counter.FlopCounterMode` does.

    Attributes
    ----------
    total : int
        Multiplications and additions, each counted as one.
    """
