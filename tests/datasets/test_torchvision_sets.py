"""Published data sets: local files, real downloads from a server on loopback, and damage."""

import functools
import gzip
import hashlib
import http.server
import logging
import pickle
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray

from greenbench import registry
from greenbench.datasets import Dataset, LoadContext, torchvision_sets
from greenbench.errors import DatasetError

Serve = Callable[[Path], str]

IDX_FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = IDX_FILES


def load(name: str, context: LoadContext, **options: Any) -> Dataset:
    dataset: Dataset = registry.datasets.get(name)(context, **options)
    return dataset


def failure(name: str, context: LoadContext, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        load(name, context, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def write_idx(folder: Path, *, pixel: int = 0) -> Path:
    """Write files of MNIST's format and size, each image plain and each label its number mod 10."""
    folder.mkdir(parents=True)
    for name, shape in IDX_FILES.items():
        header = bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape)
        values = np.arange(shape[0]) % 10 if len(shape) == 1 else np.full(shape, pixel, np.uint8)
        (folder / name).write_bytes(header + values.astype(np.uint8).tobytes())
    return folder


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> Path:
    content = path.read_bytes()
    path.unlink()  # it may be a link to a file that others read
    path.write_bytes(change(content))
    return path


def compress(raw: Path, folder: Path) -> list[tuple[str, str]]:
    """Write the gzip archives that servers hold; return their names and MD5 sums."""
    folder.mkdir(parents=True, exist_ok=True)
    resources = []
    for name in IDX_FILES:
        packed = gzip.compress((raw / name).read_bytes(), compresslevel=1)
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    return resources


def ink(dataset: Dataset) -> list[float]:
    """Tell a pool of images by how much is drawn on each, whatever their split."""
    pool = np.concatenate([dataset.train.images, dataset.validation.images])
    return sorted(pool.sum(axis=(1, 2, 3)).tolist())


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve folders over HTTP on loopback."""
    servers: list[http.server.ThreadingHTTPServer] = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    def start(folder: Path) -> str:
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, closed_port: str) -> None:
    for kind in (torchvision.datasets.MNIST, torchvision.datasets.FashionMNIST):
        monkeypatch.setattr(kind, "mirrors", [closed_port])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", f"{closed_port}cifar.tar.gz")


@pytest.fixture(scope="module")
def fashion_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_idx(tmp_path_factory.mktemp("published") / "raw", pixel=51)


@pytest.fixture
def fashion(context: LoadContext, fashion_files: Path, offline: None) -> Path:
    """The folder with FashionMNIST's files, as links."""
    folder = context.data_dir / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name in IDX_FILES:
        (folder / name).symlink_to(fashion_files / name)
    return folder


@pytest.fixture
def fashion_server(
    fashion_files: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of a server that torchvision takes for FashionMNIST's."""
    folder = tmp_path / "server"
    kind = torchvision.datasets.FashionMNIST
    monkeypatch.setattr(kind, "resources", compress(fashion_files, folder))
    monkeypatch.setattr(kind, "mirrors", [serve(folder)])
    return folder


class TestLocalFiles:
    def test_real_mnist(self, data_dir: Path, offline: None) -> None:
        dataset = load("mnist", LoadContext(seed=0, data_dir=data_dir))
        assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (
            54_000,
            6_000,
            10_000,
        )
        assert (dataset.input_shape, dataset.classes) == ((1, 28, 28), 10)
        assert (dataset.test.images.min(), dataset.test.images.max()) == (0, 1)

    def test_real_mnist_is_what_torchvision_reads(self, data_dir: Path) -> None:
        dataset = load("mnist", LoadContext(seed=0, data_dir=data_dir), limit=100)
        published = torchvision.datasets.MNIST(data_dir, train=False)
        assert np.array_equal(dataset.test.labels, published.targets.numpy())
        assert np.array_equal(
            np.rint(dataset.test.images[:, 0] * 255).astype(np.uint8), published.data.numpy()
        )

    def test_fashion_mnist(self, context: LoadContext, fashion: Path) -> None:
        dataset = load("fashion_mnist", context)
        assert (dataset.name, dataset.source) == ("fashion_mnist", "FashionMNIST as published")
        assert (len(dataset.train), len(dataset.validation)) == (54_000, 6_000)
        assert dataset.test.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
        assert np.unique(dataset.test.images).tolist() == [np.float32(51) / np.float32(255)]

    def test_torchvisions_old_cache_is_not_believed(
        self, context: LoadContext, fashion: Path
    ) -> None:
        """torchvision reads ``processed`` first, whatever is in ``raw``."""
        before = load("fashion_mnist", context, limit=100).digest
        processed = fashion.parent / "processed"
        processed.mkdir()
        for name in ("training.pt", "test.pt"):
            (processed / name).write_bytes(b"from elsewhere")
        assert load("fashion_mnist", context, limit=100).digest == before


class TestLimit:
    def test_takes_so_many_and_leaves_the_test_split(
        self, context: LoadContext, fashion: Path
    ) -> None:
        dataset = load("fashion_mnist", context, limit=1000)
        assert (len(dataset.train), len(dataset.validation)) == (900, 100)
        assert len(dataset.test) == 10_000
        labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
        assert np.bincount(labels).tolist() == [100] * 10

    def test_subset_of_real_images_is_chosen_by_the_seed(self, data_dir: Path) -> None:
        one, again, other = (
            load("mnist", LoadContext(seed=seed, data_dir=data_dir), limit=500)
            for seed in (1, 1, 2)
        )
        assert one.digest == again.digest
        assert ink(one) == ink(again)
        assert ink(one) != ink(other)
        assert np.array_equal(one.test.images, other.test.images)

    def test_real_subset_is_stratified(self, data_dir: Path) -> None:
        dataset = load("mnist", LoadContext(seed=1, data_dir=data_dir), limit=1000)
        labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
        whole = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
        assert np.abs(np.bincount(labels) - whole / 60).max() <= 1

    @pytest.mark.parametrize("limit", [100, 59_995, 60_000])
    def test_edges(self, context: LoadContext, fashion: Path, limit: int) -> None:
        dataset = load("fashion_mnist", context, limit=limit)
        assert len(dataset.train) + len(dataset.validation) == limit

    @pytest.mark.parametrize("limit", [99, 0, -1, 60_001, 1e3, "100", True])
    def test_out_of_range(self, context: LoadContext, fashion: Path, limit: object) -> None:
        message = failure("fashion_mnist", context, limit=limit)
        assert f"limit is {limit!r}; expected a whole number from 100 to 60000" in message


class TestDamage:
    @pytest.mark.parametrize("name", IDX_FILES)
    def test_truncated_file_is_named_and_kept(
        self, context: LoadContext, fashion: Path, fashion_server: Path, name: str
    ) -> None:
        damaged = rewrite(fashion / name, lambda content: content[: len(content) // 2])
        before = damaged.read_bytes()
        message = failure("fashion_mnist", context)
        assert f"{damaged} is corrupt" in message
        assert f"it has {len(before)} bytes; expected" in message
        assert "delete the file so that it is downloaded again" in message
        assert damaged.read_bytes() == before

    @pytest.mark.parametrize(
        "change",
        [
            lambda content: b"",
            lambda content: content[:3],
            lambda content: content + b"\0",
            lambda content: b"\x1f\x8b" + content[2:],
            lambda content: content[:7] + b"\0" + content[8:],
        ],
        ids=["empty", "part of the header", "too long", "other magic", "other count"],
    )
    @pytest.mark.parametrize("name", [TRAIN_IMAGES, TEST_LABELS])
    def test_damaged_file_is_named(
        self, context: LoadContext, fashion: Path, name: str, change: Callable[[bytes], bytes]
    ) -> None:
        damaged = rewrite(fashion / name, change)
        assert f"{damaged} is corrupt" in failure("fashion_mnist", context)

    def test_counts_that_agree_with_the_size_but_not_with_the_data_set(
        self, context: LoadContext, fashion: Path
    ) -> None:
        five = struct.pack(">I", 5)
        rewrite(fashion / TEST_IMAGES, lambda c: c[:4] + five + c[8 : 16 + 5 * 784])
        rewrite(fashion / TEST_LABELS, lambda c: c[:4] + five + c[8 : 8 + 5])
        assert f"{fashion / TEST_IMAGES} is corrupt" in failure("fashion_mnist", context)

    def test_labels_that_are_none(self, context: LoadContext, fashion: Path) -> None:
        damaged = rewrite(fashion / TRAIN_LABELS, lambda content: content[:-1] + b"\xff")
        message = failure("fashion_mnist", context)
        assert f"{damaged} is corrupt: it does not hold the labels 0 to 9" in message

    def test_truncated_copy_of_real_mnist(
        self, context: LoadContext, data_dir: Path, offline: None
    ) -> None:
        folder = context.data_dir / "MNIST" / "raw"
        folder.mkdir(parents=True)
        for name in IDX_FILES:
            (folder / name).symlink_to(data_dir / "MNIST" / "raw" / name)
        load("mnist", context, limit=100)
        damaged = rewrite(folder / TRAIN_IMAGES, lambda content: content[:-1])
        message = failure("mnist", context, limit=100)
        assert f"{damaged} is corrupt: it has 47040015 bytes; expected 47040016" in message


@pytest.mark.integration
class TestDownload:
    def test_files_arrive_and_are_used(
        self,
        context: LoadContext,
        fashion_server: Path,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with caplog.at_level(logging.INFO, logger="greenbench"):
            dataset = load("fashion_mnist", context, limit=100)
        assert len(dataset.test) == 10_000
        assert contents(context.data_dir) == sorted(f"FashionMNIST/raw/{n}" for n in IDX_FILES)
        assert capfd.readouterr() == ("", "")
        assert f"FashionMNIST is not in {context.data_dir}; downloading" in caplog.text

    def test_second_load_needs_no_network(self, context: LoadContext, fashion_server: Path) -> None:
        first = load("fashion_mnist", context, limit=100)
        for archive in fashion_server.iterdir():
            archive.unlink()
        assert load("fashion_mnist", context, limit=100).digest == first.digest

    def test_only_what_is_missing_is_replaced(
        self, context: LoadContext, fashion_server: Path
    ) -> None:
        """Local images are darker than the server's; a download must not touch them."""
        folder = write_idx(context.data_dir / "FashionMNIST" / "raw", pixel=1)
        (folder / TEST_LABELS).unlink()
        dataset = load("fashion_mnist", context, limit=100)
        assert np.unique(dataset.test.images).tolist() == [np.float32(1) / np.float32(255)]
        assert (folder / TEST_LABELS).is_file()

    def test_wrong_file_from_the_server_is_not_kept(
        self, context: LoadContext, fashion_server: Path
    ) -> None:
        (fashion_server / f"{TEST_IMAGES}.gz").write_bytes(gzip.compress(b"<html>Log in</html>"))
        message = failure("fashion_mnist", context)
        assert "FashionMNIST is not in" in message
        assert "cannot be downloaded" in message
        assert contents(context.data_dir) == []

    def test_server_that_never_answers_is_given_up(
        self, context: LoadContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torchvision_sets, "NETWORK_TIMEOUT_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [url])
            # Without a limit the call would never come back.
            assert "timed out" in failure("mnist", context)
        assert socket.getdefaulttimeout() is None

    @pytest.mark.slow
    def test_real_mnist(
        self,
        context: LoadContext,
        data_dir: Path,
        tmp_path: Path,
        serve: Serve,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        resources = compress(data_dir / "MNIST" / "raw", tmp_path / "server")
        monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [serve(tmp_path / "server")])
        downloaded = load("mnist", context)
        local = load("mnist", LoadContext(seed=context.seed, data_dir=data_dir))
        assert downloaded.digest == local.digest


@pytest.mark.usefixtures("offline")
class TestNoNetwork:
    @pytest.mark.parametrize(
        ("name", "title", "file"),
        [
            ("mnist", "MNIST", f"MNIST/raw/{TRAIN_IMAGES}"),
            ("fashion_mnist", "FashionMNIST", f"FashionMNIST/raw/{TRAIN_IMAGES}"),
            ("cifar10", "CIFAR10", "cifar-10-batches-py/data_batch_1"),
        ],
    )
    def test_says_what_is_missing_and_what_to_do(
        self, context: LoadContext, name: str, title: str, file: str
    ) -> None:
        message = failure(name, context)
        assert f"{title} is not in {context.data_dir} ({file} is missing)" in message
        assert "set GREENBENCH_DATA_DIR to a folder that holds it" in message
        assert "connect to the network" in message
        assert contents(context.data_dir) == []

    def test_one_missing_file_is_named(self, context: LoadContext, fashion: Path) -> None:
        (fashion / TEST_IMAGES).unlink()
        assert f"(FashionMNIST/raw/{TEST_IMAGES} is missing)" in failure("fashion_mnist", context)

    def test_data_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        message = failure("mnist", LoadContext(seed=0, data_dir=tmp_path / "file"))
        assert "cannot be downloaded" in message
        assert "set GREENBENCH_DATA_DIR" in message

    def test_local_archives_are_unpacked(
        self, context: LoadContext, fashion_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = context.data_dir / "FashionMNIST" / "raw"
        kind = torchvision.datasets.FashionMNIST
        monkeypatch.setattr(kind, "resources", compress(fashion_files, folder))
        assert len(load("fashion_mnist", context, limit=100).test) == 10_000

    def test_damaged_local_archive_is_named(
        self, context: LoadContext, fashion_files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = context.data_dir / "FashionMNIST" / "raw"
        kind = torchvision.datasets.FashionMNIST
        monkeypatch.setattr(kind, "resources", compress(fashion_files, folder))
        damaged = rewrite(folder / f"{TRAIN_IMAGES}.gz", lambda content: content[:-9])
        assert f"{damaged} is corrupt: its MD5 sum is not" in failure("fashion_mnist", context)


class TestCifar10:
    @pytest.fixture
    def images(self) -> NDArray[np.uint8]:
        return np.random.default_rng(0).integers(0, 256, (6, 40, 3, 32, 32), np.uint8)

    @pytest.fixture
    def cifar(
        self,
        tmp_path: Path,
        images: NDArray[np.uint8],
        offline: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Path:
        """Six batches of 40 images in the published format, known to torchvision."""
        folder = tmp_path / "published" / "cifar-10-batches-py"
        folder.mkdir(parents=True)

        def write(name: str, content: dict[str, object]) -> list[str]:
            packed = pickle.dumps(content, protocol=2)
            (folder / name).write_bytes(packed)
            return [name, hashlib.md5(packed).hexdigest()]

        labels = [i % 10 for i in range(40)]
        names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
        sums = [
            write(name, {"data": batch.reshape(40, -1), "labels": labels})
            for name, batch in zip(names, images, strict=True)
        ]
        kind = torchvision.datasets.CIFAR10
        _, md5 = write("batches.meta", {"label_names": [*"abcdefghij"]})
        monkeypatch.setattr(kind, "train_list", sums[:5])
        monkeypatch.setattr(kind, "test_list", sums[5:])
        monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5})
        return folder

    def test_colour_planes_come_first(self, cifar: Path, images: NDArray[np.uint8]) -> None:
        dataset = load("cifar10", LoadContext(seed=0, data_dir=cifar.parent))
        assert (dataset.input_shape, dataset.classes) == ((3, 32, 32), 10)
        assert (len(dataset.train), len(dataset.validation)) == (180, 20)
        assert np.array_equal(np.rint(dataset.test.images * 255), images[5])
        pool = np.concatenate([dataset.train.images, dataset.validation.images])
        found = {image.tobytes() for image in np.rint(pool * 255).astype(np.uint8)}
        assert found == {image.tobytes() for image in images[:5].reshape(-1, 3, 32, 32)}

    def test_limit(self, cifar: Path) -> None:
        dataset = load("cifar10", LoadContext(seed=0, data_dir=cifar.parent), limit=100)
        assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (90, 10, 40)

    @pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
    def test_damaged_file_is_named_and_never_unpickled(self, cifar: Path, name: str) -> None:
        damaged = rewrite(cifar / name, lambda content: content[:-1])
        message = failure("cifar10", LoadContext(seed=0, data_dir=cifar.parent))
        assert f"{damaged} is corrupt: its MD5 sum is not" in message
        assert "delete the file" in message

    @pytest.fixture
    def cifar_server(
        self, cifar: Path, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = tmp_path / "server" / "cifar-10-python.tar.gz"
        archive.parent.mkdir()
        with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
            packed.add(cifar, arcname=cifar.name)
        kind = torchvision.datasets.CIFAR10
        monkeypatch.setattr(kind, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
        monkeypatch.setattr(kind, "url", f"{serve(archive.parent)}{archive.name}")

    @pytest.mark.integration
    @pytest.mark.usefixtures("cifar_server")
    def test_download(
        self, context: LoadContext, cifar: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        dataset = load("cifar10", context)
        assert dataset.digest == load("cifar10", LoadContext(context.seed, cifar.parent)).digest
        assert capfd.readouterr() == ("", "")
        assert contents(context.data_dir) == sorted(
            f"{cifar.name}/{path.name}" for path in cifar.iterdir()
        )
