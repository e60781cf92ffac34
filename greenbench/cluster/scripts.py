"""Batch scripts: one allocation of a queue that has a scheduler, a worker a node and the run."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from greenbench.cluster.asked import OPTIONS, QUEUES
from greenbench.errors import ConfigurationError

SLURM = QUEUES[0]
GRACE_S = 120
"""A run needs no more to end; SLURM may be a minute early, and says so."""

_TIME = re.compile(r"\d+(-\d+(:\d+){0,2})?|\d+(:\d+){1,2}")

_SCRIPT = Template("""\
#!/bin/bash
# $nodes, each of them measured by one worker at a time; all of it ends, and goes on, as one job.
$directives

set -u -m
tell() { echo "greenbench: $$*" >&2; }

cd -- $folder || exit 2
mkdir -p -- $runs_dir || exit 2
# The keys of this job, which nobody else may read; all nodes must find them here.
keys=$$(mktemp -d $runs_dir/"job-$$SLURM_JOB_ID-XXXXXX") || exit 2
end() {
    trap - EXIT
    kill $$(jobs -p) 2>/dev/null
    rm -rf -- "$$keys"
}
trap end EXIT

$python -m greenbench.cluster.secured "$$keys" || exit 2
export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True
export DASK_DISTRIBUTED__COMM__TLS__CA_FILE="$$keys/tls_ca_file"
for role in client scheduler worker; do
    export "DASK_DISTRIBUTED__COMM__TLS__$${role^^}__CERT=$$keys/tls_$${role}_cert"
    export "DASK_DISTRIBUTED__COMM__TLS__$${role^^}__KEY=$$keys/tls_$${role}_key"
done

# Its dashboard is for this node alone.
export DASK_DISTRIBUTED__DASHBOARD__LINK='{scheme}://127.0.0.1:{port}/status'
$python -m distributed.cli.dask_scheduler --protocol tls --port 0 \\
    --dashboard-address 127.0.0.1:0 --scheduler-file "$$keys/scheduler" &
scheduler=$$!
address() {
    $python -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' \\
        "$$keys/scheduler" 2>/dev/null
}
until at=$$(address); do
    kill -0 "$$scheduler" 2>/dev/null || { tell "the scheduler has ended"; exit 1; }
    sleep 1
done

# One that is killed is started again; the run takes up what it had.
srun $step --kill-on-bad-exit=0 bash -c 'until "$$@"; do sleep 5; done' worker \\
    $python -m distributed.cli.dask_worker "$$at" --protocol tls --nthreads 1 \\
    --memory-limit 0 --no-nanny --no-dashboard --resources METER=1 &

$python -m greenbench $command --scheduler "$$at" &
run=$$!
is_late=
trap 'is_late=yes; tell "the time limit is near"; kill -INT "$$run"' TERM
until wait "$$run"; status=$$?; ! kill -0 "$$run" 2>/dev/null; do :; done
# A signal that came as it ended has hidden its status.
wait "$$run" 2>/dev/null; again=$$?
[ "$$again" -eq 127 ] || status=$$again
trap '' TERM
end

if [ -n "$$is_late" ] && [ "$$status" -ne 0 ]; then
    if [ "$${SLURM_RESTART_COUNT:-0}" -ge $most_requeues ]; then
        tell "not all is run after $most_requeues more jobs; sbatch goes on from here"
    elif scontrol requeue "$$SLURM_JOB_ID"; then
        tell "the next job goes on from here"
    else
        tell "this queue lets no job go on by itself; sbatch goes on from here"
    fi
fi
exit "$$status"
""")


@dataclass(frozen=True)
class BatchScript:
    """What a batch script is to say.

    Attributes
    ----------
    command : tuple of str
        What greenbench is to do there, such as ``("run", "ci")``.
    folder : pathlib.Path
        Where it is run, which all nodes must see.
    runs_dir : pathlib.Path
        Of the settings.
    python : str
        The interpreter, on all nodes.
    nodes : int
        How many.
    gpus : int
        Of a node, a worker each; 0 measures nodes as a whole.
    time : str or None
        Its limit, as SLURM reads it; that of the partition without.
    partition, account : str or None
        As SLURM calls them.
    cores : int or None
        CPU cores of a worker; all of its node without.
    grace_s : int
        How long before the limit the run is told to end.
    most_requeues : int
        How often it may go on in a further job.
    """

    command: tuple[str, ...]
    folder: Path
    runs_dir: Path
    python: str
    nodes: int = 1
    gpus: int = 0
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    cores: int | None = None
    grace_s: int = GRACE_S
    most_requeues: int = 100

    def __post_init__(self) -> None:
        _check_command(self.command)
        for name in (*self.command, str(self.folder), str(self.runs_dir), self.python):
            if not name.isprintable():
                raise ConfigurationError(
                    f"{name!r} has signs that cannot be read in a batch script; choose another name"
                )
        known = OPTIONS[SLURM]
        for name, of in (("partition", "queue"), ("account", "account")):
            pattern, expected = known[of]
            value = getattr(self, name)
            if value is not None and not pattern.fullmatch(value):
                raise ConfigurationError(f"--{name} is {value!r}; expected {expected}")
        if self.time is not None and not _TIME.fullmatch(self.time):
            raise ConfigurationError(
                f"--time is {self.time!r}; expected minutes, or hours, minutes and seconds, such "
                "as 08:00:00, or days and hours, such as 2-12"
            )

    def text(self) -> str:
        """Return the script, which has a line for each directive and quotes all names."""
        return _SCRIPT.substitute(
            nodes=f"{self.nodes} {'node' if self.nodes == 1 else 'nodes'}",
            directives="\n".join(f"#SBATCH {each}" for each in self._directives()),
            folder=shlex.quote(str(self.folder)),
            runs_dir=shlex.quote(str(self.runs_dir)),
            python=shlex.quote(self.python),
            command=shlex.join(self.command),
            # SLURM would bind a worker to one core.
            step=f"--cpus-per-task={self.cores}" if self.cores else "--cpu-bind=none",
            most_requeues=self.most_requeues,
        )

    def _directives(self) -> list[str]:
        asked = {
            "--time": self.time,
            "--partition": self.partition,
            "--account": self.account,
            "--cpus-per-task": self.cores,
            "--gpus-per-task": 1 if self.gpus else None,
        }
        return [
            "--job-name=greenbench",
            f"--nodes={self.nodes}",
            f"--ntasks-per-node={self.gpus or 1}",
            *(f"{name}={value}" for name, value in asked.items() if value is not None),
            # What else ran there would be measured, too; and memory is asked for by itself.
            "--exclusive",
            "--mem=0",
            # To this script alone, which tells the run.
            f"--signal=B:TERM@{self.grace_s}",
            "--requeue",
            "--open-mode=append",
        ]


def _check_command(command: Sequence[str]) -> None:
    said = shlex.join(command)
    if not command or command[0] != "run":
        raise ConfigurationError(
            f"a batch script is for `greenbench run`, and {said or 'nothing'} is given; say what "
            "to run behind --, such as: greenbench cluster-script slurm -- run ci"
        )
    for each in command:
        name = each.partition("=")[0]
        if name in ("--scheduler", "--cluster", "--cluster-option"):
            raise ConfigurationError(
                f"{name} names a cluster, and the script starts its own; leave it out"
            )
