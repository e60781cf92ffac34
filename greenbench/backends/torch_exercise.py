"""An exercise for torch: what it loads late, it loads before anything is measured."""

import torch
from torch import nn


def exercise() -> None:
    """Train a small network for two steps, on the GPU if there is one.

    The first step of an optimiser alone imports modules for seconds of CPU time.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = torch.zeros(8, 1, 8, 8, device=device)
    targets = torch.zeros(8, dtype=torch.int64, device=device)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    model.to(device)
    for make in (torch.optim.Adam, torch.optim.SGD):
        optimizer = make(model.parameters(), lr=0.0)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), targets)
        torch.autograd.backward(loss)
        optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()
