"""What a program of any kind tells greenbench; it imports nothing heavy, and needs no greenbench.

Whoever runs it says by `REPORT` where: a pipe, into which a line of JSON goes for each report.
"""

import json
import os
import sys
from typing import SupportsFloat

REPORT = "GREENBENCH_REPORT"
"""Names the pipe."""
GO = ".go"
"""What stands after its name in that of the pipe which lets the program go on."""
WAITS = "waits"
"""Key of a report whose sender waits for that."""


def report(
    *,
    epoch: int | None = None,
    loss: SupportsFloat | None = None,
    score: SupportsFloat | None = None,
    test_score: SupportsFloat | None = None,
    samples: int | None = None,
    parameters: int | None = None,
    train_flops_per_sample: int | None = None,
    **metrics: SupportsFloat,
) -> None:
    """Tell greenbench how far a training is; call it at the end of each epoch.

    Under ``greenbench run --command``, the call returns when the training is to go on: here it may
    be paused, or stopped. Anywhere else, it prints what it would tell as a line of JSON. Where
    several processes train together, one of them tells.

    Parameters
    ----------
    epoch : int, optional
        Which one has ended.
    loss : float, optional
        Mean training loss of the epoch.
    score : float, optional
        On the validation data.
    test_score : float, optional
        On the test data, at the end.
    samples : int, optional
        Training samples of the epoch.
    parameters, train_flops_per_sample : int, optional
        Of the model: how many are trained, and FLOPs of a sample, forwards and backwards.
    **metrics : float
        What else is to be told.

    Examples
    --------
    >>> import greenbench
    >>> greenbench.report(epoch=1, loss=0.5, score=0.75)
    {"epoch": 1, "loss": 0.5, "score": 0.75}
    """
    counts = {
        "epoch": epoch,
        "samples": samples,
        "parameters": parameters,
        "train_flops_per_sample": train_flops_per_sample,
    }
    figures = {"loss": loss, "score": score, "test_score": test_score, **metrics}
    told = {
        **{name: int(value) for name, value in counts.items() if value is not None},
        **{name: float(value) for name, value in figures.items() if value is not None},
    }
    order = ("epoch", "loss", "score", "test_score")
    told = {name: told[name] for name in (*(n for n in order if n in told), *told)}
    pipe = os.environ.get(REPORT)
    if pipe is None or not _told(pipe, told):
        # Nobody listens, or a container hides the pipe: standard output is read as well.
        print(json.dumps(told), file=sys.stdout, flush=True)


def _told(pipe: str, told: dict[str, float]) -> bool:
    """Write a report into the pipe, and wait for leave to go on; return whether it was there."""
    line = json.dumps({**told, WAITS: True}).encode() + b"\n"
    try:
        # Without a reader, one that blocks would wait for ever.
        sink = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        os.set_blocking(sink, True)
        os.write(sink, line)
    finally:
        os.close(sink)
    leave = os.open(f"{pipe}{GO}", os.O_RDONLY)
    try:
        os.read(leave, 1)
    finally:
        os.close(leave)
    return True
