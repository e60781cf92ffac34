"""Layers of few channels in training, computed so that they fill a GPU.

cuDNN has a block or two for each channel of a normalisation, and computes the convolutions of
several models one after the other. Here the first is made of sums and products over all values,
and the second is one product of matrices. The formulas are those of PyTorch's own layers; sums are
taken in another order, which is the same each time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode

CHANNELS = 32
"""Of a normalisation: with more of them, cuDNN has enough to do at once."""
VALUES = 2**17
"""A channel, from which on it takes longer than our operations do."""
WEIGHTS = 32
"""Of an output channel of a convolution: with more of them, copies of pixels take what it saves."""
_IMAGES = 4
_AXES = (0, 2, 3)


class FewChannels(TorchFunctionMode):
    """While it is entered, layers of few channels are computed our way where that is faster.

    Parameters
    ----------
    lanes : bool
        Whether several models are computed as one: their convolutions, too, and normalisations of
        few values, of which there are many then.
    """

    def __init__(self, *, lanes: bool) -> None:
        super().__init__()
        self._lanes = lanes

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        result = None
        if func is functional.batch_norm and (self._lanes or _is_large(args[0])):
            result = _batch_norm(*args, **options)
        elif func is torch.conv2d and self._lanes:
            result = _convolution(*args, **options)
        return func(*args, **options) if result is None else result


def _is_large(inputs: Tensor) -> bool:
    return inputs.numel() >= VALUES * inputs.shape[1] and inputs.is_contiguous()


def _batch_norm(  # noqa: PLR0917  (as PyTorch calls it)
    inputs: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """Do as the function of PyTorch; None if that should."""
    count = inputs.numel() // max(inputs.shape[1], 1)
    is_ours = inputs.ndim == _IMAGES and inputs.dtype == torch.float32 and count > 1
    if not (training and is_ours and inputs.shape[1] <= CHANNELS):
        return None
    if weight is None or bias is None:
        return None
    outputs, mean, variance, *_ = _Normalised.apply(inputs, weight, bias, eps)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
            # Of all images there could be, which those in the batch are a sample of.
            unbiased = momentum * count / (count - 1)
            running_var.mul_(1 - momentum).add_(variance, alpha=unbiased)
    normalised: Tensor = outputs
    return normalised


class _Normalised(Function):
    """Outputs of a batch normalisation, and what its gradient needs."""

    generate_vmap_rule = True

    @staticmethod
    def forward(inputs: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        variance, mean = torch.var_mean(inputs, _AXES, correction=0)
        scale = (variance + eps).rsqrt()
        centred = inputs - _wide(mean)
        outputs = torch.addcmul(_wide(bias), centred, _wide(weight * scale))
        return outputs, mean, variance, centred, scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        _, _, _, centred, scale = output
        ctx.save_for_backward(inputs[1], centred, scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        gradient, (weight, centred, scale) = gradients[0], ctx.saved_tensors
        count = gradient.numel() / gradient.shape[1]
        of_bias = gradient.sum(_AXES)
        of_weight = (gradient * centred).sum(_AXES) * scale
        factor = weight * scale
        # Less what the mean, and what the variance, would take back.
        rest = torch.addcmul(
            _wide(factor * of_bias / -count), centred, _wide(factor * scale * of_weight / -count)
        )
        return torch.addcmul(rest, gradient, _wide(factor)), of_weight, of_bias, None


def _wide(values: Tensor) -> Tensor:
    """Return one value a channel so that it meets all pixels."""
    return values[:, None, None]


def _convolution(  # noqa: PLR0917  (as PyTorch calls it)
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """Do as the function of PyTorch; None if that should."""
    rows, columns = weight.shape[2:]
    is_plain = _ones(stride) and _ones(dilation) and groups == 1 and inputs.ndim == _IMAGES
    is_padded = padding == "same" or padding in (rows // 2, (rows // 2, rows // 2))
    if not (is_plain and is_padded and rows == columns and rows % 2):
        return None
    if weight.shape[1:].numel() > WEIGHTS:
        return None
    count, _, height, width = inputs.shape
    wide = functional.pad(inputs, [rows // 2] * 4)
    seen = [
        wide[..., row : row + height, column : column + width]
        for row in range(rows)
        for column in range(columns)
    ]
    patches = torch.stack(seen, 2).reshape(count, -1, height * width)
    outputs = torch.bmm(weight.flatten(1).expand(count, -1, -1), patches)
    if bias is not None:
        outputs = outputs + bias[:, None]
    return outputs.view(count, -1, height, width)


def _ones(value: Any) -> bool:
    return value in (1, (1, 1))
