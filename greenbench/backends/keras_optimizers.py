"""Keras's optimisers, so that they mean what `greenbench.optimizers` says, and schedules.

Imports Keras: to be imported late.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from greenbench.backends.base import BuildRequest, learning_factors
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
from greenbench.optimizers.schedules import Factors

# A momentum that was divided by a rate of 0 would be lost.
_LEAST_FACTOR = 1e-12


def make_optimizer(request: BuildRequest) -> Any:
    """Return a new Keras optimiser with the learning rates of a request's schedule.

    Adam's epsilon is added before its bias correction, as Keras does; all others are what torch
    has by the same name.

    Raises
    ------
    ConfigurationError
        If it is an optimiser that Keras does not have.
    """
    factors = learning_factors(request)
    optimizer = _built(request.optimizer, factors)
    if factors is not None:
        base = getattr(request.optimizer, "learning_rate", None)
        rate = float(optimizer.learning_rate) if base is None else base
        optimizer.learning_rate = _Steps(rate * factors)
    return optimizer


def _built(options: OptimizerOptions, factors: Factors | None) -> Any:
    kinds = keras.optimizers
    match options:
        case AdamOptions() | AdamWOptions():
            arguments = {
                "learning_rate": options.learning_rate,
                "beta_1": options.beta1,
                "beta_2": options.beta2,
                "epsilon": options.epsilon,
            }
            if isinstance(options, AdamOptions):
                return _made(kinds.Adam, arguments, penalty=options.weight_decay)
            arguments |= {"weight_decay": options.weight_decay}
            return _made(kinds.AdamW, arguments, _CorrectedEpsilon)
        case SGDOptions(rate, momentum, nesterov, penalty):
            arguments = {"learning_rate": rate, "momentum": momentum, "nesterov": nesterov}
            if not momentum or factors is None:
                return _made(kinds.SGD, arguments, penalty=penalty)
            optimizer = _made(kinds.SGD, arguments, _RescaledMomentum, penalty=penalty)
            optimizer.take_rates(factors)
            return optimizer
        case RMSpropOptions(rate, rho, momentum, epsilon, penalty):
            arguments = {"learning_rate": rate, "rho": rho, "momentum": momentum}
            return _made(RootedRMSprop, {**arguments, "epsilon": epsilon}, penalty=penalty)
        case AdagradOptions(rate, epsilon, penalty):
            arguments = {"learning_rate": rate, "initial_accumulator_value": 0.0}
            return _made(RootedAdagrad, {**arguments, "epsilon": epsilon}, penalty=penalty)
        case AdadeltaOptions(rate, rho, epsilon, penalty):
            arguments = {"learning_rate": rate, "rho": rho, "epsilon": epsilon}
            return _made(kinds.Adadelta, arguments, penalty=penalty)
        case LionOptions(rate, beta1, beta2, decay):
            optimizer = kinds.Lion(rate, beta_2=beta2, weight_decay=decay or None)
            # Its builder refuses 0, which its step takes.
            optimizer.beta_1 = beta1
            return optimizer
    return _native(options)


def _native(options: OptimizerOptions) -> Any:
    build = getattr(options, "build_keras", None)
    if build is None:
        raise optimizer_error("keras", options.name)
    try:
        built = build()
    except (TypeError, ValueError) as error:
        line = str(error).strip().partition("\n")[0]
        raise ConfigurationError(
            f"optimizer {options.name!r} cannot be built: {line}; choose other options"
        ) from error
    if not isinstance(built, keras.optimizers.Optimizer):
        raise ConfigurationError(
            f"optimizer {options.name!r}: build_keras returned a {type(built).__name__}; expected "
            "a keras.optimizers.Optimizer"
        )
    return built


def _made(kind: Any, arguments: dict[str, Any], *mixins: type[Any], penalty: float = 0.0) -> Any:
    plain = kind(**arguments)
    if not mixins and not penalty:
        return plain
    more = {"_penalty": penalty}
    # On torch Keras replaces a class, but not what derives from it, by a faster one.
    bases: list[type] = [*([_Penalised] if penalty else []), *mixins, type(plain)]
    return type(f"{kind.__name__}AsTorch", tuple(bases), more)(**arguments)


class _Penalised:
    """Adds a penalty on large weights to the gradient: Keras's own weight decay is decoupled."""

    _penalty: float

    def apply(self: Any, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        variables = trainable_variables or self._trainable_variables
        penalised = [
            gradient if gradient is None else gradient + self._penalty * variable
            for gradient, variable in zip(grads, variables, strict=True)
        ]
        super().apply(penalised, trainable_variables)  # type: ignore[misc]


class _CorrectedEpsilon:
    """Corrects Adam's epsilon as its mean of squares, which is to add it after the correction."""

    @property
    def epsilon(self: Any) -> Any:
        step = ops.cast(self.iterations + 1, "float32")
        return self._plain_epsilon * ops.sqrt(1 - ops.power(self.beta_2, step))

    @epsilon.setter
    def epsilon(self: Any, value: float) -> None:
        self._plain_epsilon = value


class _RescaledMomentum:
    """Keeps momentum free of earlier learning rates, which Keras has in it."""

    def take_rates(self: Any, factors: Factors) -> None:
        rates = np.maximum(factors, _LEAST_FACTOR)
        # After the last step the rate stays.
        self._ratios = _Steps(np.concatenate([[1.0], rates[1:] / rates[:-1], [1.0]]))

    def _backend_update_step(
        self: Any, grads: Any, trainable_variables: Any, learning_rate: Any
    ) -> None:
        ratio = self._ratios(self.iterations)
        for momentum in self.momentums:
            self.assign(momentum, momentum * ratio)
        super()._backend_update_step(grads, trainable_variables, learning_rate)  # type: ignore[misc]


class RootedRMSprop(keras.optimizers.RMSprop):  # type: ignore[misc]
    """Adds epsilon to the root, where Keras adds it under the root, and the rate to momentum."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step of one variable."""
        place = self._get_variable_index(variable)
        squares = self._velocities[place]
        self.assign(squares, self.rho * squares + (1 - self.rho) * ops.square(gradient))
        step = gradient / (ops.sqrt(squares) + self.epsilon)
        if self.momentum:
            self.assign(self._momentums[place], self.momentum * self._momentums[place] + step)
            step = self._momentums[place]
        self.assign_sub(variable, learning_rate * step)


class RootedAdagrad(keras.optimizers.Adagrad):  # type: ignore[misc]
    """Adds epsilon to the root, where Keras adds it under the root."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step of one variable."""
        squares = self._accumulators[self._get_variable_index(variable)]
        self.assign_add(squares, ops.square(gradient))
        step = gradient / (ops.sqrt(squares) + self.epsilon)
        self.assign_sub(variable, learning_rate * step)


class _Steps(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A value for each step; the last one stays."""

    def __init__(self, values: Factors) -> None:
        super().__init__()
        self._values = ops.convert_to_tensor(values.astype(np.float32))
        self._last = len(values) - 1

    def __call__(self, step: Any) -> Any:
        return ops.take(self._values, ops.minimum(ops.cast(step, "int32"), self._last))
