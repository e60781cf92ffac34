"""What a training saves comes back as it was, without pickle; what cannot is named."""

import math
import pickle
import random
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pytest
import torch

from greenbench.backends.process_state import random_states
from greenbench.trainings import Report, Run
from greenbench.trainings.states import pack, unpack
from tests.trainings.own_search import OwnSearch

PLAIN = [
    None,
    True,
    2**200,
    -0.0,
    math.inf,
    "é\ud800",
    b"\x00a",
    bytearray(b"b"),
    1 + 2j,
    (1, [2, (3,)], {4, 5}, frozenset({6})),
    {"a": {1: "one", (2, "b"): None}, 2.5: []},
    OrderedDict(b=1, a=2),
    Counter("aab"),
    random.Random(1).getstate(),
    np.random.default_rng(1).bit_generator.state,
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_plain_values_come_back_with_their_types(value: Any) -> None:
    found = unpack(pack(value))
    assert repr(found) == repr(value)
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "array",
    [
        np.float32(2.5),
        np.ones((2, 3), order="F"),
        np.array(["a", "é"]),
        np.zeros((0, 2), np.int8),
        np.array(1.5),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    ],
)
def test_arrays_come_back(array: Any) -> None:
    found = unpack(pack([array]))[0]
    assert type(found) is type(array)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_weights_in_bfloat16_come_back() -> None:
    kind = pytest.importorskip("ml_dtypes").bfloat16
    (found,) = unpack(pack([np.array([1, 2.5], kind)]))
    assert found.dtype == kind
    assert found.tolist() == [1, 2.5]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([1.5, math.nan], dtype=torch.bfloat16),
        torch.tensor(3.0, dtype=torch.float64),
        torch.tensor([[1 + 2j]]),
        torch.tensor([True, False]),
        torch.empty(0, 3),
        torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.rand(3, 2).T,
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=lambda tensor: f"{tensor.dtype}-{tuple(tensor.shape)}",
)
def test_tensors_come_back(tensor: torch.Tensor) -> None:
    found = unpack(pack([tensor]))[0]
    assert type(found) is type(tensor)
    assert found.requires_grad == tensor.requires_grad
    assert found.numel() == 0 or found.stride() == tensor.stride()
    torch.testing.assert_close(found, tensor, rtol=0, atol=0, equal_nan=True)


def test_model_and_optimizer_go_on_from_their_state_dicts() -> None:
    def trained(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        loss = model(torch.arange(16.0).reshape(2, 1, 8)).square().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    def made() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        model = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.BatchNorm1d(2))
        return model, torch.optim.AdamW(model.parameters())

    whole, again = made(), made()
    trained(*whole)
    model, optimizer = unpack(pack([each.state_dict() for each in whole]))
    assert model._metadata == whole[0].state_dict()._metadata  # type: ignore[attr-defined]
    again[0].load_state_dict(model)
    again[1].load_state_dict(optimizer)
    for _ in range(3):
        assert torch.equal(trained(*whole), trained(*again))


def test_tied_weights_are_kept_once() -> None:
    weights = torch.rand(1000)
    once, tied = pack([weights]), pack([weights, weights.view(1000)])
    assert len(tied) < len(once) + 500
    first, second = unpack(tied)
    first += 1
    assert torch.equal(first, second)


def test_state_is_what_was_saved_however_training_goes_on() -> None:
    weights = torch.zeros(3)
    kept = pack(weights)
    weights += 1
    assert torch.equal(unpack(kept), torch.zeros(3))


def test_random_generators_come_back() -> None:
    assert unpack(pack(random_states())) == random_states()


itself: list[Any] = []
itself.append(itself)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.nn.Linear(1, 1), "a Linear; save its state_dict()"),
        ({"a": [1, print]}, "a builtin_function_or_method in state['a'][1]; save numbers, texts"),
        (defaultdict(list), "a defaultdict; save numbers"),
        (np.array([print]), "an array of objects; save arrays of numbers or texts"),
        ([torch.ones(2).to_sparse()], "a sparse Tensor in state[0]; save a dense tensor"),
        (itself, "something that contains itself; save it without that"),
    ],
)
def test_what_cannot_be_kept_is_named_with_what_to_do(value: Any, said: str) -> None:
    with pytest.raises(TypeError) as raised:
        pack(value)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04N."])
def test_what_is_no_state_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, EOFError, BadZipFile)):
        unpack(content)


class KilledError(BaseException):
    """Nobody catches what a killed process does not live to see."""


class Exploding:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def test_pickle_of_an_older_greenbench_is_not_read_and_its_trial_starts_over(
    search: OwnSearch, tmp_path: Path
) -> None:
    trace, trained = tmp_path / "unpickled", []

    def train(run: Run) -> Iterator[Report]:
        run.restore()
        for epoch in run.epochs():
            trained.append(epoch)
            run.save({"epoch": epoch})
            yield run.report(score=0.5)
            if len(trained) == 2:
                raise KilledError
        run.final(0.5)

    few = {"strategy": "sobol", "trials": 1, "epochs": 3}
    with pytest.raises(KilledError):
        search(train, **few)
    journal = search.journal(search.case(**few))
    found = journal.load_state(0)
    assert found is not None
    about = {name: value for name, value in found[0].items() if name != "schema"}
    journal.save_state(0, about, pickle.dumps((Exploding(trace), {})))
    search(train, **few)

    assert not trace.exists()
    assert trained == [0, 1, 0, 1, 2]
    assert "as a pickle, which is not read" in " ".join(search.said)
