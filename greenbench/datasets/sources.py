"""Sources: where a user's loader finds samples, and how they become arrays.

`ArraySource` and `TorchSource` read samples by position; `read_batches` reads whatever yields
batches into memory: a torch ``DataLoader``, a ``tf.data.Dataset``, a keras ``PyDataset``.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.split import Batch, each, named
from greenbench.datasets.streaming import Indices
from greenbench.errors import DatasetError

NUMBERS = ("regression", "multilabel")
"""Tasks whose targets are float32 of shape (n, k)."""


def as_inputs(array: Any, *, has_tokens: bool) -> NDArray[Any]:
    """Return what a network is given: token ids as int64, other numbers as float32."""
    values = _numbers(array)
    kind = np.int64 if has_tokens and not np.issubdtype(values.dtype, np.floating) else np.float32
    return np.ascontiguousarray(values, kind)


def as_targets(array: Any, task: str) -> NDArray[Any]:
    """Return what is to be learned: whole numbers as int64, others as float32.

    Those of the tasks `NUMBERS` are float32 of shape (n, k).
    """
    values = _numbers(array)
    if task in NUMBERS:
        rows = values.reshape(len(values), -1) if values.ndim == 1 else values
        return np.ascontiguousarray(rows, np.float32)
    kind = np.float32 if np.issubdtype(values.dtype, np.floating) else np.int64
    return np.ascontiguousarray(values, kind)


class ArraySource:
    """Samples of arrays, which may be memory maps: only what is asked for is read.

    Parameters
    ----------
    inputs : array, shape (n, …), or mapping of str to such arrays
        Of any numeric type.
    targets : array, shape (n, …)
        Of any numeric type.
    task : str
        Decides the type of targets; see `as_targets`.
    has_tokens : bool
        Whether integer inputs are token ids.
    scale : float
        What inputs that are no tokens are divided by, such as 255 for the bytes of images.
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any,
        task: str,
        *,
        has_tokens: bool = False,
        scale: float = 1.0,
    ) -> None:
        lengths = {len(array) for array in (*named(inputs).values(), targets)}
        if len(lengths) != 1:
            raise DatasetError(
                f"arrays have {' and '.join(map(str, sorted(lengths)))} rows; expected as many "
                "inputs as targets"
            )
        self._inputs = inputs
        self._targets = targets
        self._task = task
        self._has_tokens = has_tokens
        self._scale = np.float32(scale)

    def __len__(self) -> int:
        return len(self._targets)

    def read(self, indices: Indices) -> Batch:
        """Return the rows at these positions."""
        inputs = each(self._inputs, lambda array: self._scaled(array[indices]))
        return inputs, as_targets(self._targets[indices], self._task)

    def _scaled(self, rows: NDArray[Any]) -> NDArray[Any]:
        values = as_inputs(rows, has_tokens=self._has_tokens)
        return values / self._scale if values.dtype == np.float32 and self._scale != 1 else values


class TorchSource:
    """Samples of a torch ``Dataset`` that has ``__getitem__`` and ``__len__``.

    They must be the same whenever they are read: leave random transforms to `Augmentation`.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset or DataLoader
        Of a ``DataLoader`` its data set is read, and batches are made as its ``collate_fn`` does;
        what its sampler and workers do, training does.
    task : str
        Decides the type of targets; see `as_targets`.
    has_tokens : bool
        Whether integer inputs are token ids.
    """

    def __init__(self, dataset: Any, task: str, *, has_tokens: bool = False) -> None:
        collate = None
        if hasattr(dataset, "collate_fn"):
            # One that makes no batches converts single samples.
            collate = dataset.collate_fn if dataset.batch_sampler is not None else None
            dataset = dataset.dataset
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise DatasetError(
                f"{type(dataset).__name__} cannot be read by position; expected a data set with "
                "__getitem__ and __len__, or read it into memory with `read_batches`"
            )
        self._dataset = dataset
        self._collate = collate
        self._task = task
        self._has_tokens = has_tokens

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, indices: Indices) -> Batch:
        """Return the samples at these positions, collated."""
        positions = indices.tolist()
        if hasattr(self._dataset, "__getitems__"):
            samples = self._dataset.__getitems__(positions)
        else:
            samples = [self._dataset[position] for position in positions]
        inputs, targets = _pair((self._collate or _default_collate())(samples))
        converted = each(inputs, lambda array: as_inputs(array, has_tokens=self._has_tokens))
        return converted, as_targets(targets, self._task)


def read_batches(batches: Iterable[Any], *, are_samples: bool = False) -> Batch:
    """Read whatever yields pairs of inputs and targets into memory, to be split by `make_arrays`.

    Parameters
    ----------
    batches : iterable of (inputs, targets)
        A torch ``DataLoader``, a ``tf.data.Dataset``, a keras ``PyDataset``, a generator. Inputs
        may be a mapping of names to arrays, and all may be tensors of any framework.
    are_samples : bool
        Whether it yields single samples, such as a ``tf.data.Dataset`` that is not batched.

    Returns
    -------
    inputs : ndarray, shape (n, …), or mapping of str to such arrays
    targets : ndarray, shape (n, …)

    Raises
    ------
    DatasetError
        If it yields nothing, or something else than pairs.
    """
    pairs = [_pair(batch) for batch in _in_turn(batches)]
    if not pairs:
        raise DatasetError(f"{type(batches).__name__} yields nothing; expected batches")
    join = np.stack if are_samples else np.concatenate
    targets: NDArray[Any] = join([_numbers(each) for _, each in pairs])
    first = pairs[0][0]
    if isinstance(first, Mapping):
        return {key: join([_numbers(each[key]) for each, _ in pairs]) for key in first}, targets
    return join([_numbers(each) for each, _ in pairs]), targets


def _in_turn(batches: Any) -> Iterator[Any]:
    if hasattr(batches, "__len__") and hasattr(batches, "__getitem__"):
        # A keras PyDataset has no end when it is iterated.
        yield from (batches[number] for number in range(len(batches)))
    else:
        yield from batches


def _pair(batch: Any) -> tuple[Any, Any]:
    try:
        inputs, targets = batch
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"a batch is {type(batch).__name__}; expected a pair of inputs and targets"
        ) from error
    return inputs, targets


def _numbers(array: Any) -> NDArray[Any]:
    """Return a NumPy array of numbers of any framework's array or tensor."""
    values = array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)
    if not np.issubdtype(values.dtype, np.number) and values.dtype != np.bool_:
        raise DatasetError(
            f"an array has the type {values.dtype}; expected numbers: turn text and categories "
            "into numbers first"
        )
    return values


def _default_collate() -> Any:
    from torch.utils.data import default_collate  # noqa: PLC0415

    return default_collate
