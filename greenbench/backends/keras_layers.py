"""Layers of neutral specs that Keras has not, or in another layout.

Keras reads its engine when it is imported, and so when this module is: import it late.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops


class Residual(layers.Layer):  # type: ignore[misc]
    """The sum of what two branches make of the same; an empty shortcut leaves it as it is."""

    def __init__(self, body: Sequence[Any], shortcut: Sequence[Any]) -> None:
        super().__init__()
        # Keras keeps weights in this order, whatever the shapes of the branches.
        self.body = list(body)
        self.shortcut = list(shortcut)

    def call(self, inputs: Any) -> Any:
        """Return the sum."""
        ends = []
        for branch in (self.body, self.shortcut):
            values = inputs
            for layer in branch:
                values = layer(values)
            ends.append(values)
        return ends[0] + ends[1]


class Attention(layers.Layer):  # type: ignore[misc]
    """Multi-head self-attention; Keras's own has kernels of another layout."""

    def __init__(self, features: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self._heads = heads
        self._causal = causal
        self.joint = layers.Dense(3 * features, kernel_initializer="zeros")
        self.out = layers.Dense(features, kernel_initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Return each token's features, mixed from those of the tokens that it sees."""
        _, tokens, features = inputs.shape
        size = features // self._heads
        joint = ops.reshape(self.joint(inputs), (-1, tokens, 3, self._heads, size))
        queries, keys, values = ops.unstack(ops.transpose(joint, (2, 0, 3, 1, 4)), num=3, axis=0)
        scores = ops.matmul(queries / math.sqrt(size), ops.transpose(keys, (0, 1, 3, 2)))
        if self._causal:
            positions = ops.arange(tokens)
            scores = ops.where(positions[:, None] >= positions, scores, -math.inf)
        mixed = ops.matmul(ops.softmax(scores), values)
        return self.out(ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, tokens, features)))


class PositionEmbedding(layers.Layer):  # type: ignore[misc]
    """Adds a trained vector to each position."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make its weight."""
        self.position = self.add_weight(shape=shape[1:], initializer="zeros", name="position")

    def call(self, inputs: Any) -> Any:
        """Return the sum."""
        return inputs + keras.ops.convert_to_tensor(self.position)
