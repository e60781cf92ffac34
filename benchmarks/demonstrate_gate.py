"""Builds of greenbench itself, judged by the gate: `python benchmarks/demonstrate_gate.py`.

In a scratch clone, each build is a commit on a branch of its own: an unchanged one changes a
comment, a costly one adds useless work to every epoch of training, as many CPU seconds as
are asked for. Each is judged by the command that ends `tox -e bench`, with the code of the clone,
in the environment that runs this. Every build is a line of JSON, written when it is judged. What
has one is not run again, so that the same command goes on after an interruption.
"""

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "main"
GATE = ("gate", "--baseline", "interleaved:auto", "--max-minutes", "4", "--json")
SETTINGS = {"GREENBENCH_METER": "process", "GREENBENCH_THREADS": "1"}
"""Those of `tox -e bench`, where nobody sets others."""

UNCHANGED, COSTLY = "unchanged", "costly"
MODELS = {"torch_model.py": "TorchModel", "keras_model.py": "KerasModel"}
USELESS = """

def _with_useless_work(train: "Callable[..., float]") -> "Callable[..., float]":
    import time

    def longer(self: "{model}", order: "NDArray[np.int64]") -> float:
        begun_s = time.process_time()
        loss = train(self, order)
        # By CPU time, whatever a step takes here: {share:.0%} more than this epoch took.
        end_s = time.process_time() + {share} * (time.process_time() - begun_s)
        useless = np.ones((64, 64))
        while time.process_time() < end_s:
            useless = useless @ useless / 64
        return loss

    return longer


{model}.train_epoch = _with_useless_work({model}.train_epoch)  # type: ignore[method-assign]
"""


@click.command()
@click.option("--unchanged", default=20, show_default=True, help="Builds that change a comment.")
@click.option("--costly", default=10, show_default=True, help="Builds with useless work.")
@click.option("--share", default=0.2, show_default=True, help="How much: of an epoch's CPU time.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSON lines.")
@click.option(
    "--folder", type=click.Path(path_type=Path), required=True, help="Scratch, made anew."
)
@click.option("--case", "pattern", help="Only cases whose id matches this glob.")
def demonstrate(
    *, unchanged: int, costly: int, share: float, output: Path, folder: Path, pattern: str | None
) -> None:
    """Judge builds that cost the same, and builds that cost more, in random order."""
    builds = [(UNCHANGED, n) for n in range(unchanged)] + [(COSTLY, n) for n in range(costly)]
    # The same order when it goes on; of both kinds some are done whenever it ends.
    random.Random("builds").shuffle(builds)
    known = (
        [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    )
    done = {(line["kind"], line["build"]) for line in known}
    due = [build for build in builds if build not in done]
    project = _clone(folder)
    for kind, number in due:
        _commit(project, kind, number, share)
        found = _judge(project, folder, pattern)
        line = {"kind": kind, "build": number, "share": share if kind == COSTLY else 0.0, **found}
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        known.append(line)
        click.echo(
            f"{kind} {number}: {found['verdict']} in {found['minutes']:.1f} min, {found['pairs']}"
        )
    _sum_up(known)


def _clone(folder: Path) -> Path:
    """Clone the commit that is checked out here, as the only one of the default branch."""
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    commit = _git(ROOT, "rev-parse", "HEAD")
    _git(folder, "clone", "--quiet", "--no-checkout", str(ROOT), "project")
    _git(project, "remote", "remove", "origin")
    _git(project, "checkout", "--quiet", "-B", BRANCH, commit)
    return project


def _commit(project: Path, kind: str, number: int, share: float) -> None:
    """Commit a build on a branch of its own, which begins at the default branch."""
    _git(project, "checkout", "--quiet", "--force", "-B", f"{kind}-{number}", BRANCH)
    for name, model in MODELS.items():
        path = project / "greenbench" / "backends" / name
        change = USELESS.format(model=model, share=share) if kind == COSTLY else f"# {number}\n"
        path.write_text(path.read_text(encoding="utf-8") + change, encoding="utf-8")
    _git(project, "commit", "--quiet", "--all", "-m", f"{kind} {number}")


def _judge(project: Path, folder: Path, pattern: str | None) -> dict[str, Any]:
    """Return what the gate says of the build, what it took, and the time."""
    variables = {"GREENBENCH_RUNS_DIR": str(folder / "mlruns"), **SETTINGS, **os.environ}
    variables["PYTHONPATH"] = str(project)
    command = [sys.executable, "-m", "greenbench", *GATE, *(["--case", pattern] if pattern else [])]
    begun_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        command, cwd=project, env=variables, stdout=subprocess.PIPE, text=True, check=False
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode not in (0, 1):
        raise click.ClickException(
            f"the gate ended with {ended.returncode}: {ended.stdout[-2000:]}"
        )
    said = json.loads(ended.stdout)
    return {
        "verdict": said["verdict"],
        "exit_code": ended.returncode,
        "minutes": (time.monotonic() - begun_s) / 60,
        "cpu_s": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "pairs": _pairs(said["judgements"]),
        "judgements": [
            {name: each[name] for name in ("case_id", "metric", "rule", "verdict", "compared")}
            | {"pairs": len(each["samples"]), "low": each["low"], "high": each["high"]}
            for each in said["judgements"]
        ],
        "notes": said["notes"],
    }


def _pairs(judgements: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many pairs each case took."""
    return {each["case_id"]: len(each["samples"]) for each in judgements}


def _sum_up(lines: Sequence[Mapping[str, Any]]) -> None:
    """Say how many builds of each kind got which verdict, and what that took."""
    for kind in (UNCHANGED, COSTLY):
        own = [line for line in lines if line["kind"] == kind]
        if not own:
            continue
        verdicts = Counter(line["verdict"] for line in own)
        pairs = [number for line in own for number in line["pairs"].values()]
        minutes = sum(line["minutes"] for line in own) / len(own)
        click.echo(
            f"{len(own)} {kind}: {dict(verdicts)}; {sum(pairs) / max(len(pairs), 1):.1f} pairs a "
            f"case (most {max(pairs, default=0)}), {minutes:.1f} min a build"
        )


def _git(folder: Path, *arguments: str) -> str:
    names = ("-c", "user.name=greenbench", "-c", "user.email=greenbench@localhost")
    done = subprocess.run(
        ["git", *names, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise click.ClickException(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    demonstrate()
