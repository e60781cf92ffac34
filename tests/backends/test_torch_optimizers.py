"""Optimisers and schedules on torch: each step is that of torch's own classes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from greenbench import registry
from greenbench.architectures import Flatten, Linear, Spec
from greenbench.backends.base import AdamOptions, BuildRequest
from greenbench.backends.torch import TorchBackend
from greenbench.backends.torch_optimizers import Functional, OfClass, make_optimizer
from greenbench.datasets.base import Dataset
from greenbench.errors import ConfigurationError, HyperparameterError, UnknownNameError
from greenbench.optimizers import (
    AdadeltaOptions,
    AdagradOptions,
    AdamWOptions,
    LionOptions,
    OptimizerOptions,
    RMSpropOptions,
    Schedule,
    SGDOptions,
    make_schedule,
    optimizer_options,
)

STEPS = 20
Class = Callable[[Iterable[Tensor]], torch.optim.Optimizer]
optim = torch.optim

PAIRS: list[tuple[OptimizerOptions, Class]] = [
    (AdamOptions(3e-3, 0.8), lambda p: optim.Adam(p, 3e-3, (0.8, 0.999), fused=True)),
    (
        AdamWOptions(3e-3, 0.8, 0.99, 1e-6, 0.1),
        lambda p: optim.AdamW(p, 3e-3, (0.8, 0.99), 1e-6, 0.1),
    ),
    (SGDOptions(), lambda p: optim.SGD(p, 1e-2)),
    (SGDOptions(0.03, 0.9, False, 0.1), lambda p: optim.SGD(p, 0.03, 0.9, 0, 0.1)),
    (SGDOptions(0.03, 0.9, True, 0.1), lambda p: optim.SGD(p, 0.03, 0.9, 0, 0.1, nesterov=True)),
    (RMSpropOptions(), lambda p: optim.RMSprop(p, 1e-3)),
    (
        RMSpropOptions(2e-3, 0.9, 0.8, 1e-5, 0.1),
        lambda p: optim.RMSprop(p, 2e-3, 0.9, 1e-5, 0.1, 0.8),
    ),
    (
        AdagradOptions(0.02, 1e-8, 0.1),
        lambda p: optim.Adagrad(p, 0.02, weight_decay=0.1, eps=1e-8),
    ),
    (AdadeltaOptions(0.5, 0.8, 1e-5, 0.1), lambda p: optim.Adadelta(p, 0.5, 0.8, 1e-5, 0.1)),
]


def network() -> nn.Module:
    torch.manual_seed(0)
    built = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    built.register_parameter("unused", nn.Parameter(torch.ones(2)))
    built.register_parameter("frozen", nn.Parameter(torch.ones(2), requires_grad=False))
    return built


def trained(
    make: Callable[[Iterable[nn.Parameter]], Any], each: Callable[[Any, int], None] | None = None
) -> list[Tensor]:
    """Return parameters after some steps; `each` is called before a step."""
    module = network()
    optimizer = make(module.parameters())
    for step in range(STEPS):
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        loss = module(torch.randn(5, 6, generator=generator)).square().mean()
        loss.backward()
        if each is not None:
            each(optimizer, step)
        optimizer.step()
    return [parameter.detach() for parameter in module.parameters()]


def assert_close(one: list[Tensor], other: list[Tensor]) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert not all(map(torch.equal, one, network().parameters()))


@pytest.mark.parametrize(("options", "theirs"), PAIRS, ids=lambda pair: getattr(pair, "name", ""))
def test_an_optimizer_takes_the_steps_of_torchs_class(
    options: OptimizerOptions, theirs: Class
) -> None:
    ours = trained(lambda parameters: make_optimizer(parameters, options))
    assert_close(ours, trained(theirs))


def test_lion_takes_the_steps_of_its_paper() -> None:
    options = LionOptions(1e-3, 0.8, 0.95, 0.1)
    means: dict[int, Tensor] = {}

    class Paper(torch.optim.Optimizer):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            with torch.no_grad():
                for parameter in self.param_groups[0]["params"]:
                    if parameter.grad is None:
                        continue
                    mean = means.get(id(parameter), torch.zeros_like(parameter))
                    gradient = parameter.grad
                    sign = (0.8 * mean + 0.2 * gradient).sign()
                    parameter.sub_(1e-3 * (sign + 0.1 * parameter))
                    means[id(parameter)] = 0.95 * mean + 0.05 * gradient

    ours = trained(lambda parameters: make_optimizer(parameters, options))
    assert_close(ours, trained(lambda parameters: Paper(parameters, {"lr": 1e-3})))


@pytest.mark.parametrize(
    "options", [each for each, _ in PAIRS] + [LionOptions()], ids=lambda each: str(each.name)
)
def test_a_rate_that_is_a_tensor_is_the_same_rate(options: OptimizerOptions) -> None:
    def at(kind: Callable[[float], Any]) -> list[Tensor]:
        def set_rate(optimizer: Any, step: int) -> None:
            optimizer.learning_rate = kind(1e-3 * (step + 1))

        return trained(lambda parameters: Functional(parameters, options), set_rate)

    assert_close(at(float), at(torch.tensor))


# Tensors that have no values stand in for those of a GPU: who asks for one fails.


def on_meta(options: OptimizerOptions) -> tuple[Functional, list[nn.Parameter]]:
    parameters = [nn.Parameter(torch.zeros(3, device="meta")) for _ in range(2)]
    return Functional(parameters, options), parameters


@pytest.mark.parametrize(
    "options", [each for each, _ in PAIRS] + [LionOptions()], ids=lambda each: str(each.name)
)
def test_all_that_a_step_changes_is_on_the_device(options: OptimizerOptions) -> None:
    # A replay changes nothing in the CPU's memory.
    optimizer, _ = on_meta(options)
    assert {each.device.type for each in optimizer.tensors()} <= {"meta"}


def test_adagrad_reads_nothing_back() -> None:
    optimizer, parameters = on_meta(AdagradOptions())
    for each in parameters:
        each.grad = torch.zeros_like(each)
    optimizer.step()


SCHEDULES: list[tuple[Schedule, Callable[[Any], Any]]] = [
    (make_schedule("cosine", {}), lambda o: lr_scheduler.CosineAnnealingLR(o, 30)),
    (
        make_schedule("cosine", {"floor": 0.1}),
        lambda o: lr_scheduler.CosineAnnealingLR(o, 30, eta_min=0.05),
    ),
    (
        make_schedule("one_cycle", {}),
        lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=30, cycle_momentum=False),
    ),
    (
        make_schedule("step", {"every": 1, "gamma": 0.7}),
        lambda o: lr_scheduler.StepLR(o, 10, gamma=0.7),
    ),
    (
        make_schedule("linear_warmup", {"warmup": 0.2}),
        lambda o: lr_scheduler.LambdaLR(o, lambda step: min((step + 1) / 6, 1)),
    ),
]


def rates(schedule: Callable[[Any], Any]) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.5)
    scheduler, found = schedule(optimizer), []
    for _ in range(30):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(("schedule", "theirs"), SCHEDULES, ids=lambda x: getattr(x, "name", ""))
def test_a_schedule_has_the_rates_of_torchs(
    schedule: Schedule, theirs: Callable[[Any], Any]
) -> None:
    np.testing.assert_allclose(0.5 * schedule.factors(30, 10), rates(theirs), atol=1e-9)


@pytest.fixture
def linear(digits: Dataset) -> Spec:
    return Spec("linear", digits.image_shape, [Flatten(), Linear(digits.classes)])


def test_a_model_steps_along_its_schedule_and_stays_at_its_end(
    torch_backend: TorchBackend, digits: Dataset, linear: Spec
) -> None:
    schedule = make_schedule("linear_warmup", {"warmup": 0.5, "decay": "linear", "floor": 0.1})
    request = BuildRequest(
        linear, SGDOptions(0.1), 32, schedule=schedule, steps=8, steps_per_epoch=4
    )
    model = torch_backend.build(request)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    with torch.no_grad():
        for mine, values in zip(plain.parameters(), model.get_weights(), strict=True):
            mine.copy_(torch.from_numpy(values))
    optimizer = torch.optim.SGD(plain.parameters(), 0.1)
    factors = schedule.factors(8, 4).tolist()
    for epoch in range(3):
        order = np.arange(epoch * 128, epoch * 128 + 128)
        model.train_epoch(order)
        for step in range(4):
            optimizer.param_groups[0]["lr"] = 0.1 * factors[min(epoch * 4 + step, 7)]
            batch = order[step * 32 : step * 32 + 32]
            optimizer.zero_grad()
            outputs = plain(torch.from_numpy(digits.train.images[batch]))
            labels = torch.from_numpy(digits.train.labels[batch])
            nn.functional.cross_entropy(outputs, labels).backward()
            optimizer.step()
    for values, mine in zip(model.get_weights(), plain.parameters(), strict=True):
        np.testing.assert_allclose(values, mine.detach().numpy(), atol=1e-6)


def test_torchs_optimizers_have_names_and_options() -> None:
    options = optimizer_options("torch_nadam", {"learning_rate": 3e-3, "beta1": 0.8})
    known = {each.name for each in fields(registry.optimizers.get("torch_nadam"))}
    assert known >= {"learning_rate", "beta1", "beta2", "eps", "momentum_decay"}
    assert not known & {"foreach", "maximize", "capturable", "lr", "betas"}
    ours = trained(lambda parameters: make_optimizer(parameters, options))
    assert_close(ours, trained(lambda p: torch.optim.NAdam(p, 3e-3, (0.8, 0.999))))
    assert options == optimizer_options("torch_nadam", {"learning_rate": 3e-3, "beta1": 0.8})


def test_an_optimizer_that_torch_lacks_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match=r"'torch_nadan'; did you mean torch_nadam"):
        optimizer_options("torch_nadan", {})
    with pytest.raises(HyperparameterError, match=r"momentum .*torch_nadam: learning_rate, beta1"):
        optimizer_options("torch_nadam", {"momentum": 0.9})
    # It asks for the loss again and again.
    with pytest.raises(UnknownNameError, match="torch_lbfgs"):
        optimizer_options("torch_lbfgs", {})


@dataclass(frozen=True)
class Mine:
    """The user's own optimiser."""

    name: ClassVar[str] = "mine"
    learning_rate: float = 0.1
    returns: str = "groups"

    def build_torch(self, parameters: list[nn.Parameter]) -> Any:
        if self.returns == "nothing":
            return None
        if self.returns == "error":
            raise ValueError("no such luck\nand more")
        groups = [{"params": parameters[:1], "lr": 0.2}, {"params": parameters[1:]}]
        return torch.optim.SGD(groups, self.learning_rate)


def test_a_schedule_scales_each_group_of_the_users_own_optimizer(
    torch_backend: TorchBackend, linear: Spec
) -> None:
    schedule = make_schedule("step", {"gamma": 0.0})
    request = BuildRequest(linear, Mine(), 32, schedule=schedule, steps=2, steps_per_epoch=1)
    model = torch_backend.build(request)
    weights: list[Any] = [model.get_weights()]
    for _ in range(2):
        model.train_epoch(np.arange(32))
        weights.append(model.get_weights())
    first, second, third = (np.concatenate([w.ravel() for w in each]) for each in weights)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(second, third)
    optimizer = make_optimizer(network().parameters(), Mine())
    assert isinstance(optimizer, OfClass)
    optimizer.learning_rate = 0.5
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.05]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Mine(returns="nothing"), r"'mine': build_torch returned a NoneType; expected"),
        (Mine(returns="error"), r"'mine' cannot train this network: no such luck; choose"),
        (type("Other", (), {"name": "other"})(), r"'other' is none of torch's; .*build_torch"),
    ],
)
def test_an_optimizer_that_torch_cannot_use_is_refused_in_a_line(
    options: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        make_optimizer(network().parameters(), options)
    assert "\n" not in str(refused.value)
