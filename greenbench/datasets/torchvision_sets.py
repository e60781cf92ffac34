"""MNIST, FashionMNIST and CIFAR-10: from local files, else downloaded by torchvision.

torchvision is imported where it is needed, which is not for local files of the first two: it
imports PyTorch's compiler, for five seconds of CPU time before the first step.
"""

import contextlib
import http.client
import io
import logging
import shutil
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.augmentation import augmented
from greenbench.datasets.base import (
    Dataset,
    LoadContext,
    RawImages,
    draw_stratified,
    make_dataset,
)
from greenbench.datasets.loaders import IMAGES, holds
from greenbench.errors import DatasetError
from greenbench.machine.secrets import redact

logger = logging.getLogger(__name__)

CLASSES = 10
MIN_LIMIT = 100  # so few that every class still has the images that a split needs
NETWORK_TIMEOUT_S = 30.0
IDX_SHAPES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
IDX_POOL, CIFAR10_POOL = 60_000, 50_000


@dataclass(frozen=True)
class _Published:
    """What torchvision knows of a data set.

    Attributes
    ----------
    kind : type
        The torchvision class that downloads it.
    data_dir : pathlib.Path
        Its root.
    archives : mapping of pathlib.Path to str
        What is downloaded, with the MD5 sums.
    """

    kind: type[Any]
    data_dir: Path
    archives: Mapping[Path, str]


def _limited_to(name: str, available: int) -> Callable[[LoadContext, int | None], None]:
    def check(_: LoadContext, limit: int | None) -> None:
        _check_limit(name, limit, available)

    return check


@holds(IMAGES, task="classification", check=_limited_to("mnist", IDX_POOL))
@augmented
def load_mnist(context: LoadContext, limit: int | None = None) -> Dataset:
    """Load MNIST: 60,000 and 10,000 handwritten digits, 28×28 with one channel.

    Y. LeCun and C. Cortes, CC BY-SA 3.0.

    Parameters
    ----------
    context : LoadContext
        Seed of the split and of the subset; the folder that holds, or will hold, ``MNIST/raw``.
    limit : int, optional
        Take only so many of the 60,000 images, at least 100, in proportion to the classes.

    Returns
    -------
    Dataset
        Images of shape (n, 1, 28, 28); the test split is the published one.

    Raises
    ------
    DatasetError
        If the files are missing and can't be downloaded, or are corrupt, or `limit` is out of
        range.
    """
    return _load_idx("mnist", "MNIST", context, limit)


@holds(IMAGES, task="classification", check=_limited_to("fashion_mnist", IDX_POOL))
@augmented
def load_fashion_mnist(context: LoadContext, limit: int | None = None) -> Dataset:
    """Load FashionMNIST: 60,000 and 10,000 pictures of clothes, 28×28 with one channel.

    H. Xiao, K. Rasul and R. Vollgraf, 2017, MIT licence. The files are in
    ``FashionMNIST/raw``; all else is as `load_mnist` says.
    """
    return _load_idx("fashion_mnist", "FashionMNIST", context, limit)


@holds(IMAGES, task="classification", check=_limited_to("cifar10", CIFAR10_POOL))
@augmented
def load_cifar10(context: LoadContext, limit: int | None = None) -> Dataset:
    """Load CIFAR-10: 50,000 and 10,000 photographs, 32×32 with three channels.

    A. Krizhevsky, 2009. The files are in ``cifar-10-batches-py``; `limit` is of the 50,000
    images, and all else is as `load_mnist` says.
    """
    _check_limit("cifar10", limit, CIFAR10_POOL)
    kind = _kind("CIFAR10")
    batches = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    sums = {context.data_dir / kind.base_folder / name: md5 for name, md5 in batches}
    archive = {context.data_dir / kind.filename: kind.tgz_md5}
    # The batches are pickles, which torchvision opens only if their MD5 sums are right.
    for path, md5 in sums.items():
        _check_md5(path, md5)
    _ensure(list(sums), lambda: _Published(kind, context.data_dir, archive))
    pool, test = (_raw_cifar(kind(context.data_dir, train=train)) for train in (True, False))
    return _limited("cifar10", "CIFAR-10", context, (pool, test), limit)


def _load_idx(name: str, title: str, context: LoadContext, limit: int | None) -> Dataset:
    _check_limit(name, limit, IDX_POOL)
    folder = context.data_dir / title / "raw"
    files = [folder / file for file in IDX_SHAPES]
    for path in files:
        _check_idx(path)

    def published() -> _Published:
        kind = _kind(title)
        archives = {folder / file: md5 for file, md5 in kind.resources}
        return _Published(kind, context.data_dir, archives)

    _ensure(files, published)
    pool_images, pool_labels, test_images, test_labels = (_read_idx(path) for path in files)
    pool = RawImages(pool_images[:, None], pool_labels)
    test = RawImages(test_images[:, None], test_labels)
    return _limited(name, title, context, (pool, test), limit)


def _limited(
    name: str,
    title: str,
    context: LoadContext,
    published: tuple[RawImages, RawImages],
    limit: int | None,
) -> Dataset:
    pool, test = published
    if limit is not None:
        _, drawn = draw_stratified(pool.labels, limit, context.seed)
        pool = RawImages(pool.pixels[drawn], pool.labels[drawn])
    return make_dataset(name, f"{title} as published", pool, seed=context.seed, test=test)


def _check_limit(name: str, limit: int | None, available: int) -> None:
    if limit is None:
        return
    is_count = isinstance(limit, int) and not isinstance(limit, bool)
    if not is_count or not MIN_LIMIT <= limit <= available:
        raise DatasetError(
            f"dataset {name!r}: limit is {limit!r}; "
            f"expected a whole number from {MIN_LIMIT} to {available}"
        )


def _kind(title: str) -> type[Any]:
    import torchvision.datasets  # noqa: PLC0415

    kind: type[Any] = getattr(torchvision.datasets, title)
    return kind


def _raw_cifar(part: Any) -> RawImages:
    # torchvision gives (n, height, width, channels) as a view of what is wanted here.
    return RawImages(part.data.transpose(0, 3, 1, 2), np.asarray(part.targets))


# ---------------------------------------------------------------- local files


def _idx_header(path: Path) -> bytes:
    shape = IDX_SHAPES[path.name]
    unsigned_byte = 8
    return struct.pack(f">4B{len(shape)}I", 0, 0, unsigned_byte, len(shape), *shape)


def _check_idx(path: Path) -> None:
    """Raise `DatasetError` if the file is there but isn't what was published."""
    header = _idx_header(path)
    expected = len(header) + int(np.prod(IDX_SHAPES[path.name]))
    with _readable(path):
        try:
            with path.open("rb") as file:
                found = file.read(len(header))
            size = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return
    if size != expected:
        raise _corrupt(path, f"it has {size} bytes; expected {expected}")
    if found != header:
        shape = "×".join(map(str, IDX_SHAPES[path.name]))
        raise _corrupt(path, f"its header does not say {shape} bytes")


def _read_idx(path: Path) -> NDArray[np.uint8]:
    offset = len(_idx_header(path))
    values = np.fromfile(path, np.uint8, offset=offset).reshape(IDX_SHAPES[path.name])
    if values.ndim == 1 and {*np.unique(values).tolist()} != {*range(CLASSES)}:
        raise _corrupt(path, f"it does not hold the labels 0 to {CLASSES - 1}")
    return values


def _check_md5(path: Path, md5: str) -> None:
    from torchvision.datasets.utils import check_integrity  # noqa: PLC0415

    with _readable(path):
        is_intact = not path.exists() or check_integrity(path, md5)
    if not is_intact:
        raise _corrupt(path, f"its MD5 sum is not {md5}")


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); make it readable") from error


def _corrupt(path: Path, reason: str) -> DatasetError:
    return DatasetError(
        f"{path} is corrupt: {reason}; delete the file so that it is downloaded again"
    )


# ---------------------------------------------------------------- download


def _ensure(files: Sequence[Path], look_up: Callable[[], _Published]) -> None:
    """Download what is missing, which is looked up then; leave what is there alone."""
    missing = [path for path in files if not path.exists()]
    if not missing:
        return
    published = look_up()
    for path, md5 in published.archives.items():
        _check_md5(path, md5)
    title, data_dir = published.kind.__name__, published.data_dir
    logger.info("%s is not in %s; downloading it there", title, data_dir)
    try:
        _download(published, missing)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException) as error:
        reason = " ".join(redact(str(error)).split())
        raise DatasetError(
            f"{title} is not in {data_dir} ({missing[0].relative_to(data_dir)} is missing) and "
            f"cannot be downloaded ({reason}); set GREENBENCH_DATA_DIR to a folder that holds "
            "it, or connect to the network"
        ) from error


def _download(published: _Published, missing: Sequence[Path]) -> None:
    # In a folder of its own, since torchvision writes over files that are there, and leaves
    # half a file behind when it is interrupted.
    data_dir = published.data_dir
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=data_dir) as temporary:
        arrived = Path(temporary)
        for archive in filter(Path.exists, published.archives):
            target = arrived / archive.relative_to(data_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(archive, target)
        with _undisturbed():
            published.kind(arrived, download=True)
        for path in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            (arrived / path.relative_to(data_dir)).replace(path)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep progress bars off the terminal, and give up on a network that doesn't answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_S)
    sink = io.StringIO()
    try:
        with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            yield
    finally:
        socket.setdefaulttimeout(before)
