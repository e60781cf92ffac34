"""TLS for Dask, by certificates of somebody's own: with them a run works, and without them none."""

import datetime
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import Greenbench

pytestmark = pytest.mark.integration

CASE = ("-s", "grid", "-a", "dense.xs", "-d", "synthetic", "--trials", "1", "--epochs", "1")
PATIENCE_S = 300.0


def write_authority(folder: Path) -> None:
    """Write the certificate of an authority, and one with a key that it has signed."""
    folder.mkdir()
    now = datetime.datetime.now(datetime.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("authority", "own")}
    names = {name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in keys}
    for name, key in keys.items():
        certificate = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["authority"])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(name == "authority", None), critical=True)
            .sign(keys["authority"], hashes.SHA256())
        )
        encoded = certificate.public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.crt").write_bytes(encoded)
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "own.key").write_bytes(keys["own"].private_bytes(serialization.Encoding.PEM, *plain))


def configuration(folder: Path) -> dict[str, str]:
    """Return what tells Dask of certificates, as docs/howto/cluster.md shows."""
    roles = {
        f"DASK_DISTRIBUTED__COMM__TLS__{role}__{part}": str(folder / f"own.{ending}")
        for role in ("SCHEDULER", "WORKER", "CLIENT")
        for part, ending in (("CERT", "crt"), ("KEY", "key"))
    }
    return {
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(folder / "authority.crt"),
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        **roles,
    }


@contextmanager
def running(name: str, environment: Mapping[str, str], *words: str) -> Iterator[None]:
    line = [sys.executable, "-m", f"distributed.cli.dask_{name}", *words]
    with subprocess.Popen(line, env=dict(environment), stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.fixture
def address(tmp_path: Path, eventually: Callable[..., None]) -> Iterator[str]:
    """A scheduler that lets in whom its authority knows, and a worker."""
    write_authority(tmp_path / "tls")
    environment = {**os.environ, **configuration(tmp_path / "tls")}
    file = tmp_path / "scheduler.json"
    listens = ("--protocol", "tls", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    with running("scheduler", environment, *listens, "--scheduler-file", str(file)):
        eventually(lambda: file.exists() and '"address"' in file.read_text(), PATIENCE_S)
        address = file.read_text().partition('"address": "')[2].partition('"')[0]
        worker = (address, "--nthreads", "1", "--resources", "METER=1", "--no-dashboard")
        with running("worker", environment, *worker):
            yield address


def test_certificates_let_a_run_in_and_nobody_else(
    greenbench: Greenbench, address: str, tmp_path: Path
) -> None:
    line = ("run", *CASE, "--repeats", "1", "--scheduler", address)
    write_authority(tmp_path / "another")
    plain = dict(greenbench.environment)
    greenbench.environment = {**plain, **configuration(tmp_path / "another")}
    refused = greenbench(*line)
    assert refused.returncode == 2, refused.stderr
    assert "no Dask scheduler answers" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr

    greenbench.environment = {**plain, **configuration(tmp_path / "tls")}
    done = greenbench(*line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not encrypted" not in done.stdout + done.stderr
