"""The same command after something changed: said, and started over; nothing is mixed unasked."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from greenbench.tracking import Store
from tests.conftest import Greenbench, events, is_gone

pytestmark = pytest.mark.integration

NETWORK = """
import time
from pathlib import Path

from greenbench import register_architecture
from greenbench.architectures import Flatten, Linear, ReLU, Spec


@register_architecture("edited")
def edited(image_shape, classes):
    from edited_width import WIDTH

    while Path({hold!r}).exists() and any(
        '"event": "result"' in path.read_text() for path in Path({journals!r}).glob("*/*.jsonl")
    ):
        time.sleep(0.05)
    return Spec("edited", image_shape, [Flatten(), Linear(WIDTH), ReLU(), Linear(classes)])
"""
"""Once a repeat has ended, no other one begins as long as a file is there."""
DYING = """
import os
from pathlib import Path

from greenbench import register_architecture
from greenbench.architectures import Flatten, Linear, Spec

fsync, count = os.fsync, 0


def last(descriptor):
    # That of a journal's line: all that follows it is the event.
    global count
    fsync(descriptor)
    if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".jsonl"):
        count += 1
        if count == 3 and not Path(os.environ["DIED"]).exists():
            Path(os.environ["DIED"]).touch()
            os._exit(9)


os.fsync = last


@register_architecture("edited")
def edited(image_shape, classes):
    return Spec("edited", image_shape, [Flatten(), Linear(classes)])
"""
WIDE, NARROW = 106_810, 2146
EDITED = ("run", "-a", "edited", "--repeats", "4", "--epochs", "2")

Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture
def edited(greenbench: Greenbench, made_store: None, tmp_path: Path) -> Greenbench:
    """The command line with a plugin whose network is about to change."""
    site = tmp_path / "site"
    info = site / "edited-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edited\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\nedited = edited_parts\n")
    names = {"hold": str(tmp_path / "hold"), "journals": str(tmp_path / "mlruns" / "journal")}
    (site / "edited_parts.py").write_text(NETWORK.format(**names))
    set_width(tmp_path, 400)
    greenbench.environment |= {"PYTHONPATH": str(site), "GREENBENCH_IDLE_S": "0"}
    return greenbench


def set_width(tmp_path: Path, width: int) -> None:
    (tmp_path / "site" / "edited_width.py").write_text(f"WIDTH = {width}\n")
    shutil.rmtree(tmp_path / "site" / "__pycache__", ignore_errors=True)


def results(greenbench: Greenbench) -> dict[str, list[dict[str, Any]]]:
    """Return the results in the journal by run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for journal in greenbench.journals:
        found.setdefault(journal.parent.name, []).extend(events(journal, "result"))
    return found


def rows(greenbench: Greenbench) -> list[dict[str, Any]]:
    return Store(f"sqlite:///{greenbench.folder}/mlruns/mlflow.db").read_rows()


def interrupt(greenbench: Greenbench, eventually: Eventually, *command: str) -> str:
    """Kill a run after its first repeat, which comes to MLflow; return its name."""
    hold = greenbench.folder / "hold"
    hold.touch()
    running = greenbench.start(*command)
    eventually(lambda: any(events(path, "result") for path in greenbench.journals))
    workers = [each.pid for each in psutil.Process(running.pid).children(recursive=True)]
    running.send_signal(signal.SIGKILL)
    running.wait()
    # Only then: one that goes on would end another repeat.
    eventually(lambda: all(map(is_gone, workers)))
    hold.unlink()
    assert greenbench.here("sync").returncode == 0
    assert rows(greenbench)
    return greenbench.journals[0].parent.name


def test_edited_network_starts_over_and_says_so(
    edited: Greenbench, eventually: Eventually, tmp_path: Path
) -> None:
    name = interrupt(edited, eventually, *EDITED)
    set_width(tmp_path, 8)

    done = edited(*EDITED)

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == (
        f"the interrupted run {name} is not gone on with: the code of edited_width.py changed; "
        "starting over (`--resume-anyway` goes on with it)"
    )
    sizes = {
        run: {result["costs"]["parameters"] for result in found}
        for run, found in results(edited).items()
    }
    assert sizes.pop(name) == {WIDE}
    assert list(sizes.values()) == [{NARROW}]
    assert not any("mixed" in (row["marks"] or "") for row in rows(edited))


def test_whoever_goes_on_all_the_same_gets_marked_results(
    edited: Greenbench, eventually: Eventually, tmp_path: Path
) -> None:
    interrupt(edited, eventually, *EDITED)
    set_width(tmp_path, 8)

    done = edited(*EDITED, "--resume-anyway")

    assert done.returncode == 0, done.stderr
    assert "all are marked as mixed: the code of edited_width.py changed" in done.stderr
    stored = rows(edited)
    assert len(stored) == 4
    assert {row["parameters"] for row in stored} == {WIDE, NARROW}
    assert all("mixed" in row["marks"].split() for row in stored)
    assert "mixed" in done.stdout


def test_settings_that_changed_start_over(edited: Greenbench, eventually: Eventually) -> None:
    name = interrupt(edited, eventually, *EDITED)
    edited.environment |= {"GREENBENCH_THREADS": "2", "GREENBENCH_COUNTRY": "NLD"}

    done = edited(*EDITED)

    assert done.returncode == 0, done.stderr
    notice = done.stderr.splitlines()[0]
    assert f"{name} is not gone on with: carbon intensity in g/kWh (475, now 267.622)" in notice
    assert "threads (1, now 2) changed" in notice
    assert {result["environment"]["threads"] for result in results(edited)[name]} == {"1"}


def test_order_of_the_options_does_not_matter(edited: Greenbench, eventually: Eventually) -> None:
    parts = [("-s", "random"), ("-s", "sobol"), ("-a", "edited"), ("-a", "dense.xs")]
    given = [word for part in parts for word in part]
    turned = [word for part in reversed(parts) for word in part]
    budget = ("--trials", "2", "--epochs", "1", "--repeats", "1")
    name = interrupt(edited, eventually, "run", *given, *budget)

    done = edited("run", *turned, *budget)

    assert done.returncode == 0, done.stderr
    assert f"resuming {name}" in done.stderr
    assert len(rows(edited)) == 4


def draw(folder: Path, light: int) -> None:
    generator = np.random.default_rng(0)
    for label in range(2):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
        for number in range(40):
            pixels = generator.integers(0, 100, (8, 8)) + 100 * label + light
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(folder / f"class{label}" / f"{number}.png")


def test_changed_images_start_over_and_say_so(
    edited: Greenbench, eventually: Eventually, tmp_path: Path
) -> None:
    draw(tmp_path / "images", light=0)
    command = (*EDITED, "-d", "image_folder", "--data", f"path={tmp_path / 'images'}")
    name = interrupt(edited, eventually, *command)
    draw(tmp_path / "images", light=5)

    done = edited(*command)

    assert done.returncode == 0, done.stderr
    assert f"{name} is not gone on with: the data set image_folder changed" in done.stderr
    contents = [{each["dataset"]["content"] for each in run} for run in results(edited).values()]
    assert [len(each) for each in contents] == [1, 1]
    assert contents[0] != contents[1]
    assert len({row["data_content"] for row in rows(edited)}) == 2


def test_worker_that_dies_between_a_line_and_its_event_costs_nothing(
    edited: Greenbench, tmp_path: Path
) -> None:
    (tmp_path / "site" / "edited_parts.py").write_text(DYING)
    edited.environment["DIED"] = str(tmp_path / "died")

    done = edited("run", "-s", "random", "-a", "edited", "--trials", "4", "--repeats", "1")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "died").exists()
    (journal,) = edited.journals
    trials = events(journal, "trial")
    assert [(trial["index"], trial["status"]) for trial in trials] == [
        (index, "completed") for index in range(4)
    ]
    (result,) = events(journal, "result")
    assert result["interruptions"] == 1
