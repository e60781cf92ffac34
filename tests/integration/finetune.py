"""A training of one's own that saves checkpoints, and can be told to die."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

import greenbench
from greenbench.trainings import Report, Run


@greenbench.register_training("finetune_killed", sizes={"s": {"width": 8}})
def finetune(run: Run, width: int = 8) -> Iterator[Report]:
    torch.set_default_dtype(torch.float64)
    inputs = torch.rand(256, 4)
    targets = (inputs.sum(1) > 2).long()
    model = nn.Sequential(nn.Linear(4, width), nn.Dropout(0.1), nn.Linear(width, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=float(run["learning_rate"]))
    if state := run.restore():
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    run.count(model, inputs)
    for epoch in run.epochs():
        _die(run.seed, epoch)
        loss = torch.zeros(())
        for batch in torch.randperm(256).split(64):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with run.phase("evaluate"):
            score = float((model.eval()(inputs).argmax(1) == targets).double().mean())
            model.train()
        run.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
        yield run.report(loss=loss.item(), score=score, samples=256)
    with run.phase("test"):
        run.final(float((model.eval()(inputs).argmax(1) == targets).double().mean()))


def _die(seed: int, epoch: int) -> None:
    """Kill this worker, or its parent, at the next epoch that a file asks for; once each."""
    folder = os.environ.get("KILLS")
    if folder is None:
        return
    with Path(folder, "epochs").open("a", encoding="utf-8") as trained:
        trained.write(f"{seed} {epoch}\n")
    count = len(Path(folder, "epochs").read_text(encoding="utf-8").splitlines())
    for who, pid in (("worker", os.getpid()), ("parent", os.getppid())):
        order = Path(folder, f"{who}-{count}")
        if order.exists():
            order.unlink()
            os.kill(pid, signal.SIGKILL)
            # The end of its input ends a worker whose parent is gone; until then it waits.
            signal.pause()
