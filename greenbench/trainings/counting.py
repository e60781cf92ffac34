"""Counting: parameters and FLOPs of a model that a training of one's own has built."""

import importlib
import math
import sys
from typing import Any

Counted = tuple[int | None, int | None, tuple[str, ...]]
"""Trainable parameters, training FLOPs of a sample, and operators that are in no formula."""


def count(module: Any, inputs: Any) -> Counted:
    """Return the costs of a torch module, or a Keras model.

    Raises
    ------
    TypeError
        If it is neither.
    """
    # Looked up, not imported: whoever has such a model has imported its framework.
    torch: Any = sys.modules.get("torch")
    keras: Any = sys.modules.get("keras")
    if torch is not None and isinstance(module, torch.nn.Module):
        counting = importlib.import_module("greenbench.backends.torch_counting")
        found: Counted = counting.count(module, inputs)
        return found
    if keras is not None and isinstance(module, keras.Model):
        if not module.built:
            module(inputs)
        sizes = (math.prod(each.shape) for each in module.trainable_variables)
        return sum(sizes), None, ()
    raise TypeError(f"it is a {type(module).__name__}, neither a torch module nor a Keras model")
