"""What the torch backend does instead of PyTorch's classes is what these do."""

import pytest
import torch
import torchvision
from packaging.version import Version
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from greenbench.backends.base import AdamOptions
from greenbench.backends.torch_flops import FlopCounter
from greenbench.backends.torch_optimizers import Functional

OPTIONS = [
    AdamOptions(),
    AdamOptions(learning_rate=0.03, beta1=0.7, beta2=0.9, epsilon=1e-3, weight_decay=0.1),
]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)
    )
    # Neither is a parameter without a gradient one that is never trained.
    network.register_parameter("unused", nn.Parameter(torch.ones(2)))
    network.register_parameter("frozen", nn.Parameter(torch.ones(2), requires_grad=False))
    return network


def backward(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(8, 3, 6, 6, generator=generator)
    labels = torch.randint(0, 5, (8,), generator=generator)
    cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]


def torch_adam(network: nn.Module, options: AdamOptions) -> torch.optim.Adam:
    return torch.optim.Adam(
        network.parameters(),
        lr=options.learning_rate,
        betas=(options.beta1, options.beta2),
        eps=options.epsilon,
        weight_decay=options.weight_decay,
        fused=True,
    )


def train(network: nn.Module, optimizer: Functional | torch.optim.Adam, seeds: range) -> None:
    for seed in seeds:
        optimizer.zero_grad()
        backward(network, seed)
        optimizer.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("options", OPTIONS, ids=["defaults", "all others"])
def test_adam_trains_to_the_same_bits_as_torchs(options: AdamOptions) -> None:
    ours, theirs = small_network(), small_network()
    train(ours, Functional(ours.parameters(), options), range(6))
    train(theirs, torch_adam(theirs, options), range(6))
    assert same(ours, theirs)
    assert not same(ours, small_network())


def test_adam_goes_on_from_a_state() -> None:
    whole, broken = small_network(), small_network()
    train(whole, Functional(whole.parameters(), OPTIONS[1]), range(6))
    first = torch_adam(broken, OPTIONS[1])
    train(broken, first, range(4))
    moments = [moments_of(first, each) for each in broken.parameters() if each.requires_grad]
    second = Functional(broken.parameters(), OPTIONS[1])
    second.resume(moments, steps=4)
    train(broken, second, range(4, 6))
    assert same(whole, broken)


def moments_of(adam: torch.optim.Adam, parameter: Tensor) -> tuple[Tensor, Tensor] | None:
    state = adam.state.get(parameter)
    return (state["exp_avg"], state["exp_avg_sq"]) if state else None


def test_adam_without_gradients_changes_nothing() -> None:
    network = small_network()
    Functional(network.parameters(), AdamOptions()).step()
    assert same(network, small_network())


# Without grouped convolutions, whose weight gradients torch counts as if they had no groups.
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "vit_b_32"])
def test_flops_are_those_of_torchs_counter(name: str) -> None:
    if name == "vit_b_32" and Version(torch.__version__) < Version("2.10"):
        pytest.skip("this PyTorch has no formulas for all operators of it: its FLOPs are unknown")
    network = torchvision.models.get_model(name, num_classes=5)
    side = 224 if name.startswith("vit") else 64
    images, labels = torch.randn(2, 3, side, side), torch.tensor([0, 1])
    with FlopCounter() as ours:  # type: ignore[no-untyped-call]
        cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
    with FlopCounterMode(display=False) as theirs:
        cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
    assert ours.total == theirs.get_total_flops() > 0
