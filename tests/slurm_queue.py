"""A real SLURM of one machine: two nodes on loopback, in a folder, which end with the test."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.mlflow_server import free_port

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "scontrol")
NODES = ("first", "second")
STARTS_S = 120.0

# Seconds that a busy machine does not reach; a job that goes on waits while its credentials last.
CONF = """\
ClusterName=tested
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MailProg=/bin/true
ReturnToService=2
KillWait=5
MessageTimeout=60
TCPTimeout=30
BatchStartTimeout=120
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
NodeName=first NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} State=UNKNOWN
NodeName=second NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} State=UNKNOWN
PartitionName=tested Nodes=first,second Default=YES MaxTime=INFINITE State=UP
"""


def require_slurm() -> None:
    """Skip a test where there is no SLURM, or nobody may start it."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        pytest.skip(f"no {missing[0]} here: Debian's slurm-wlm and munge have it")
    if os.geteuid():
        pytest.skip("SLURM's daemons start jobs, which takes root")


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start SLURM; yield the environment in which its commands find it.

    Parameters
    ----------
    folder : pathlib.Path
        Of its files; short, for a socket.
    """
    (folder / "state").mkdir(parents=True)
    conf = folder / "slurm.conf"
    ports = _free_ports(1 + len(NODES))
    host = socket.gethostname().partition(".")[0]
    conf.write_text(CONF.format(host=host, ports=ports, folder=folder, cpus=os.cpu_count()))
    environment = {**os.environ, "PATH": _path(), "SLURM_CONF": str(conf)}
    with ExitStack() as stack:
        for line in _daemons(folder):
            stack.enter_context(_running(line, folder, environment))
        _wait_for_nodes(environment, folder)
        try:
            yield environment
        finally:
            _end_jobs(environment)


def _end_jobs(environment: Mapping[str, str]) -> None:
    """End all jobs; without its daemons, nobody would end one that hangs."""
    end = time.monotonic() + STARTS_S
    while _answer(environment, "squeue", "--noheader") and time.monotonic() < end:
        _answer(environment, "scancel", "--user=root")
        time.sleep(0.5)


def _answer(environment: Mapping[str, str], *line: str) -> str:
    done = subprocess.run(
        line, env=dict(environment), text=True, capture_output=True, check=False, timeout=STARTS_S
    )
    return done.stdout.strip()


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _daemons(folder: Path) -> Iterator[list[str]]:
    key = folder / "munge.key"
    subprocess.run(["/usr/sbin/mungekey", "--create", f"--keyfile={key}"], check=True)
    yield [
        "munged", "--foreground", "--force", f"--key-file={key}", "--num-threads=2",
        f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
        f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
    ]  # fmt: skip
    yield ["slurmctld", "-D", "-i"]
    for node in NODES:
        (folder / node).mkdir()
        yield ["slurmd", "-D", "-N", node]


@contextmanager
def _running(line: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    log = folder / f"{line[0]}-{line[-1].strip('-')[-8:]}.out"
    with log.open("wb") as output:
        process = subprocess.Popen(
            line, env=dict(environment), stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        if line[0] == "munged":
            _wait_for(folder / "munge.socket", process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + STARTS_S
    while not path.exists():
        assert process.poll() is None, f"{process.args!r} has ended"
        assert time.monotonic() < end, f"{path} was not made"
        time.sleep(0.1)


def _wait_for_nodes(environment: Mapping[str, str], folder: Path) -> None:
    end = time.monotonic() + STARTS_S
    while _answer(environment, "sinfo", "--noheader", "--format=%T %D") != f"idle {len(NODES)}":
        logs = "\n".join(
            path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob("*.log"))
        )
        if time.monotonic() > end:
            # Some containers forbid what it needs.
            pytest.skip(f"SLURM does not start here: {logs}")
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return sorted(found)
