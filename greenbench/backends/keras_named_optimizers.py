"""Optimisers of ``keras.optimizers`` by name: ``keras_nadam`` is `keras.optimizers.Nadam`."""

import sys
from collections.abc import Callable
from typing import Any

from greenbench.backends.keras_state import import_keras
from greenbench.errors import UnknownNameError
from greenbench.optimizers import OptimizerOptions
from greenbench.optimizers.native import find, options_of

PREFIX = "keras_"
# Averages of weights, which are put to use only when `fit` ends.
_LEFT_OUT = ("use_ema", "ema_momentum")


def options_by_name(name: str) -> type[OptimizerOptions]:
    """Return the options of an optimiser that Keras has.

    Parameters
    ----------
    name : str
        ``keras_`` and the name of the class in lower case.

    Raises
    ------
    UnknownNameError
        If Keras has none of that name.
    """
    if "keras" not in sys.modules:
        # A worker has imported it before, on its own engine; elsewhere any engine will do.
        import_keras("torch", {})
    import keras  # noqa: PLC0415

    base = keras.optimizers.Optimizer
    others = (base, keras.optimizers.LossScaleOptimizer)
    classes = {
        each.__name__: each
        for each in vars(keras.optimizers).values()
        if isinstance(each, type) and issubclass(each, base) and each not in others
    }
    optimizer = find(name.removeprefix(PREFIX), classes)
    if optimizer is None:
        known = sorted(PREFIX + each.lower() for each in classes)
        raise UnknownNameError("optimizer", name, known, f"Keras {keras.__version__} has these")

    def build(arguments: Callable[[Any], dict[str, Any]]) -> Callable[..., Any]:
        def build_keras(self: Any) -> Any:
            return optimizer(**arguments(self))

        return build_keras

    return options_of(name, optimizer, build, _LEFT_OUT)
