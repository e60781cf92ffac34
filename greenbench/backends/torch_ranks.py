"""One of the processes that share each training: its part of a batch, and what all sum up.

It is torch's `DistributedDataParallel`, which averages the gradients of equal parts of a batch:
their mean is the gradient of the whole batch (Li et al. 2020,
https://doi.org/10.14778/3415478.3415530).
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from greenbench.errors import ConfigurationError
from greenbench.machine.threads import available_cores

_LOOPBACK = {"linux": "lo", "darwin": "lo0"}
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Ranks:
    """The processes that share each training, seen from one of them.

    Parameters
    ----------
    rank, count : int
        Which this is, from 0, and of how many.
    device : torch.device
        What torch computes on: of GPUs, each rank has its own.
    threads : int
        CPU threads of each rank.

    Raises
    ------
    ConfigurationError
        If there are not so many devices.
    """

    def __init__(self, rank: int, count: int, device: torch.device, threads: int) -> None:
        _check(count, device, threads)
        self.rank, self.count, self.device = rank, count, device
        if device.type == "cuda":
            self.device = torch.device("cuda", rank)
            # Where code that names no number puts its tensors, too.
            torch.cuda.set_device(self.device)
        self._alone: Any = None

    def join(self, meeting: Path) -> None:
        """Meet the other ranks, in a file that none has used before; wait until all are there."""
        from torch import distributed  # noqa: PLC0415
        from torch._C._distributed_c10d import FileStore  # noqa: PLC0415

        if interface := _LOOPBACK.get(sys.platform):
            # All are on this machine, and nobody else is to reach them.
            for library in ("GLOO", "NCCL"):
                os.environ[f"{library}_SOCKET_IFNAME"] = interface
        distributed.init_process_group(
            "nccl" if self.device.type == "cuda" else "gloo",
            store=FileStore(str(meeting), self.count),
            rank=self.rank,
            world_size=self.count,
        )
        groups = [distributed.new_group([rank]) for rank in range(self.count)]
        self._alone = groups[self.rank]
        # NCCL needs the file when something is first summed up, and it may be gone by then.
        self.sum(torch.zeros(1, device=self.device))

    def leave(self) -> None:
        """Let the others go, if they were met: some of them have ended."""
        from torch import distributed  # noqa: PLC0415

        if distributed.is_initialized():
            distributed.destroy_process_group()

    def part_ways(self, seed: int) -> None:
        """Let this rank draw other random numbers than the first: its samples are others, too."""
        if self.rank:
            torch.manual_seed((seed + self.rank * 0x9E3779B9) % 2**32)

    def with_shared_norms(self, module: nn.Module) -> nn.Module:
        """Return a network whose batch normalisation sees whole batches.

        Each layer of exactly torch's own is replaced by one that has the same tensors.
        """
        if self.device.type == "cuda":
            shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
            return shared
        return _converted(module)

    def wrapped(self, module: nn.Module, *, is_ours: bool) -> nn.Module:
        """Return a network whose backward pass averages gradients; all ranks call it together."""
        from torch.nn.parallel import DistributedDataParallel  # noqa: PLC0415

        # Others' networks may choose what they use, and keep buffers that differ by rank.
        options: dict[str, Any] = {
            "broadcast_buffers": not is_ours,
            "find_unused_parameters": not is_ours,
        }
        with warnings.catch_warnings():
            # Later releases have another name for the first one, which earlier ones lack.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(module, **options)

    def part_of(self, order: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], int]:
        """Return this rank's part of each batch, and of how many samples that is.

        Parameters
        ----------
        order : ndarray of int64, shape (n,)
            Samples in the order of the first rank, which the others need not know: of theirs
            only the length counts.
        size : int
            Samples of a batch, of which `order` has whole ones.
        """
        from torch import distributed  # noqa: PLC0415

        whole = torch.from_numpy(np.array(order)).to(self.device)
        distributed.broadcast(whole, src=0)
        part = min(size, len(order)) // self.count
        own = whole.view(-1, self.count, part)[:, self.rank].reshape(-1)
        return own.cpu().numpy(), part

    def sum(self, figure: Tensor) -> Tensor:
        """Return the sum over all ranks."""
        return _summed(figure)

    @contextmanager
    def alone(self, module: nn.Module) -> Iterator[None]:
        """Let one rank run a network while the others do not."""
        norms: list[Any] = [
            each for each in module.modules() if isinstance(each, nn.SyncBatchNorm | SharedNorm)
        ]
        before = [each.process_group for each in norms]
        for each in norms:
            each.process_group = self._alone
        try:
            yield
        finally:
            for each, group in zip(norms, before, strict=True):
                each.process_group = group


class SharedNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the parts of all ranks, where torch has none: on a CPU.

    Mean and variance are those of the whole batch (Ioffe & Szegedy 2015, arXiv 1502.03167), of
    which each rank has an equal part.

    Attributes
    ----------
    process_group : object or None
        Whose parts; None for all ranks.
    """

    process_group: Any = None

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised batch; in inference mode, by what was seen in training."""
        is_training = self.training or self.running_mean is None
        if not is_training or self._count() == 1:
            return super().forward(input)
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        mean = self._mean(input.mean(axes))
        centred = input - mean.view(shape)
        variance = self._mean(centred.square().mean(axes))
        self._remember(mean.detach(), variance.detach(), input.numel() // input.shape[1])
        outputs = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            outputs = outputs * self.weight.view(shape) + self.bias.view(shape)
        return outputs

    def _mean(self, part: Tensor) -> Tensor:
        total: Tensor = _Summed.apply(part, self.process_group)
        return total / self._count()

    def _count(self) -> int:
        from torch import distributed  # noqa: PLC0415

        return distributed.get_world_size(self.process_group)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, seen: int) -> None:
        if not self.training or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        factor = self.momentum if self.momentum is not None else 1 / int(self.num_batches_tracked)
        count = seen * self._count()
        self.running_mean.lerp_(mean, factor)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), factor)

    def _check_input_dim(self, input: Tensor) -> None:
        """Take whatever the layer took that it stands for."""


class _Summed(torch.autograd.Function):
    """The sum over ranks; what one rank's part is to the losses of all, it is told backwards."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, group: Any) -> Tensor:
        """Return the sum."""
        ctx.group = group
        return _summed(part, group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the sum of the gradients."""
        return _summed(gradient, ctx.group), None


def _summed(part: Tensor, group: Any = None) -> Tensor:
    from torch import distributed  # noqa: PLC0415

    total = part.clone()
    distributed.all_reduce(total, group=group)
    return total


def _converted(module: nn.Module) -> nn.Module:
    if type(module) in _NORMS:
        norm: Any = module
        shared = SharedNorm(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        # The very tensors, not copies: weights may be tied.
        shared._parameters, shared._buffers = norm._parameters, norm._buffers
        shared.training = norm.training
        return shared
    for name, child in module.named_children():
        setattr(module, name, _converted(child))
    return module


def _check(count: int, device: torch.device, threads: int) -> None:
    if not torch.distributed.is_available():
        raise ConfigurationError(
            f"devices is {count}, but this torch has no torch.distributed; install one that has "
            "it, or leave --devices out"
        )
    if device.type == "mps":
        raise ConfigurationError(
            f"devices is {count}, but there is one Apple GPU (MPS); leave --devices out, or set "
            "CUDA_VISIBLE_DEVICES= to train on the CPU"
        )
    if device.type == "cuda" and count > (found := torch.cuda.device_count()):
        raise ConfigurationError(
            f"devices is {count}, but torch sees {found} GPU{'s' * (found != 1)}; choose at most "
            f"--devices {found}"
        )
    if device.type == "cpu" and count * threads > (cores := available_cores()):
        raise ConfigurationError(
            f"devices is {count} of {threads} thread{'s' * (threads != 1)} each, but this process "
            f"may use {cores} core{'s' * (cores != 1)}; choose fewer --devices or --threads"
        )
