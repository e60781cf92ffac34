"""Made-up data of the shape that a model takes: for a first run, before there are real ones."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.errors import DatasetError

SIDES = (28, 32, 64, 96, 128, 224, 256)
"""Heights and widths that are tried, of images that a network takes of one size only."""
_LENGTH = 16

Arrays = tuple[NDArray[Any], NDArray[Any]]


def stand_in(model: Any, samples: int = 256, seed: int = 0) -> Arrays:
    """Return inputs that a model takes, and targets for what it gives; both are random.

    Nothing can be learned from them: they show what training costs, and that it runs.

    Parameters
    ----------
    model : torch.nn.Module or keras.Model
        With one input.
    samples : int
        So many.
    seed : int
        Of the random numbers.

    Returns
    -------
    inputs : ndarray of float32 or int64, shape (samples, …)
        Uniform in [0, 1); token ids where the first layer is an embedding.
    targets : ndarray of int64, shape (samples,), or of float32, shape (samples, …)
        Classes where the outputs are a vector of two or more; else of the outputs' shape.

    Raises
    ------
    DatasetError
        If no shape that was tried fits.
    """
    random = np.random.default_rng(seed)
    made = _for_keras if hasattr(model, "input_shape") else _for_torch
    inputs, outputs = made(model, samples, random)
    two = 2
    if len(outputs) == 1 and outputs[0] >= two:
        return inputs, random.integers(outputs[0], size=samples)
    return inputs, random.random((samples, *outputs), dtype=np.float32)


def _for_keras(model: Any, samples: int, random: np.random.Generator) -> tuple[Any, Any]:
    shape = model.input_shape
    if not isinstance(shape, tuple):
        raise _none(model)
    sides = [_LENGTH if each is None else each for each in shape[1:]]
    return random.random((samples, *sides), dtype=np.float32), model.output_shape[1:]


def _for_torch(model: Any, samples: int, random: np.random.Generator) -> tuple[Any, Any]:
    import torch  # noqa: PLC0415

    was_training = model.training
    model.eval()
    try:
        for draw in _draws(model, random):
            with torch.no_grad():
                try:
                    outputs = model(torch.as_tensor(draw(2)))
                    return draw(samples), tuple(outputs.shape[1:])
                except (RuntimeError, IndexError, ValueError, TypeError, AttributeError):
                    continue
    finally:
        model.train(was_training)
    raise _none(model)


def _draws(model: Any, random: np.random.Generator) -> Iterator[Callable[[int], NDArray[Any]]]:
    """Yield what draws inputs for the first layer that says what it takes."""
    from torch import nn  # noqa: PLC0415

    def uniform(*shape: int) -> Callable[[int], NDArray[Any]]:
        return lambda count: random.random((count, *shape), dtype=np.float32)

    for layer in model.modules():
        if isinstance(layer, nn.Embedding):
            yield partial(_tokens, random, layer.num_embeddings)
        elif isinstance(layer, nn.Conv1d):
            yield from (uniform(layer.in_channels, side) for side in SIDES)
        elif isinstance(layer, nn.Conv2d):
            yield from (uniform(layer.in_channels, side, side) for side in SIDES)
        elif isinstance(layer, nn.Linear):
            features = layer.in_features
            # Such as of images that the network itself flattens.
            yield uniform(features)
            side = round(features**0.5)
            yield uniform(1, side, side)
        elif isinstance(layer, nn.RNNBase):
            yield uniform(_LENGTH, layer.input_size)
        else:
            continue
        return


def _tokens(random: np.random.Generator, known: int, count: int) -> NDArray[np.int64]:
    return random.integers(known, size=(count, _LENGTH))


def _none(model: Any) -> DatasetError:
    return DatasetError(
        f"no made-up input was found that {type(model).__name__} takes; expected a network with "
        "one input, of images, features or token ids: give it data of your own"
    )
