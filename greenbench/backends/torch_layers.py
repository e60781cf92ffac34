"""Layers of neutral specs that torch has not, or not alike on every device."""

import math

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """The sum of what two branches make of the same; an empty shortcut leaves it as it is."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sum."""
        outputs: Tensor = self.body(inputs) + self.shortcut(inputs)
        return outputs


class Attention(nn.Module):
    """Multi-head self-attention as plain products, which every device and counter knows alike."""

    def __init__(self, tokens: int, features: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self._heads = heads
        self._scale = 1 / math.sqrt(features // heads)
        self.joint = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)
        later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1) if causal else None
        self.register_buffer("later", later, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return each token's features, mixed from those of the tokens that it sees."""
        batch, tokens, features = inputs.shape
        joint = self.joint(inputs).view(batch, tokens, 3, self._heads, features // self._heads)
        queries, keys, values = joint.permute(2, 0, 3, 1, 4).unbind()
        scores = (queries * self._scale) @ keys.transpose(-2, -1)
        if self.later is not None:
            scores = scores.masked_fill(self.later, -torch.inf)
        mixed = scores.softmax(dim=-1) @ values
        outputs: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, features))
        return outputs


class PositionEmbedding(nn.Module):
    """Adds a trained vector to each position."""

    def __init__(self, tokens: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(tokens, features))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sum."""
        return inputs + self.weight


class PatchEmbedding(nn.Conv2d):
    """Patches of an image as tokens, row by row."""

    def __init__(self, channels: int, patch: int, features: int) -> None:
        super().__init__(channels, features, patch, stride=patch)

    def forward(self, input: Tensor) -> Tensor:
        """Return (batch, tokens, features)."""
        return super().forward(input).flatten(2).transpose(1, 2)


class GlobalPool(nn.Module):
    """Mean over the pixels of images, or the tokens of sequences."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        super().__init__()
        self._axes = axes

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, features)."""
        return inputs.mean(dim=self._axes)
