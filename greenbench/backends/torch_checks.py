"""Checks of native torch modules: at each build, and in a pass before anything is trained."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parameter import is_lazy

from greenbench.architectures.spec import Native
from greenbench.backends.base import BuildRequest, class_axis
from greenbench.backends.checks import (
    PASSES,
    PASSES_OF_CHANCE,
    Outputs,
    check_gradients,
    check_logits,
    check_outputs,
    check_still_trained,
    check_trained,
    named,
    refuse_kind,
    refuse_same,
)
from greenbench.backends.process_state import random_numbers_of, random_states
from greenbench.backends.torch_compute import Compute
from greenbench.backends.torch_data import (
    Batch,
    Held,
    Inputs,
    Streamed,
    call,
    copied,
    mapped,
    tensors_of,
)
from greenbench.backends.torch_losses import loss_of
from greenbench.errors import ArchitectureError
from greenbench.tasks import Task


@dataclass(frozen=True)
class Lesson:
    """What a network is checked with.

    Attributes
    ----------
    data : Held or Streamed
        Training samples.
    wanted : tuple of int
        Shape of what it gives for one sample.
    task : Task
        What it learns.
    compute : Compute
        How it computes.
    """

    data: Held | Streamed
    wanted: tuple[int, ...]
    task: Task
    compute: Compute


class TorchChecks:
    """What a backend remembers of the modules that it has built and checked."""

    def __init__(self) -> None:
        # What training changes, by the address of a storage, which nobody else gets while it
        # is weakly referred to.
        self._changed: dict[int, StorageWeakRef] = {}
        self._passed: set[object] = set()

    def forget(self) -> None:
        """Check all networks again: the data is another."""
        self._passed.clear()

    def build(self, architecture: Native, example: Inputs) -> nn.Module:
        """Return a new module of an architecture, as its builder makes it.

        Parameters
        ----------
        architecture : Native
            Of which.
        example : Inputs
            A few samples, from which lazy layers get their shapes.

        Raises
        ------
        ArchitectureError
            If it is no module, has nothing to train, or has what an earlier one trains.
        """
        module: Any = architecture.build()
        if not isinstance(module, nn.Module) or _is_keras(module):
            raise refuse_kind(architecture, module, "torch.nn.Module")
        if _lazy(module):
            _give_shapes(module, example)
        if lazy := _lazy(module):
            raise ArchitectureError(
                f"{named(architecture)}: parameter {lazy[0]} still has no shape after a batch; "
                "use its layer in the forward pass, or give it its number of inputs"
            )
        trained = dict(_trained(module))
        check_trained(architecture, trained)
        changing = trained | dict(module.named_buffers())
        if same := [name for name, each in changing.items() if _storage(each) in self._changed]:
            raise refuse_same(architecture, same, is_all=set(same) >= set(trained))
        return module

    def check(self, request: BuildRequest, module: nn.Module, lesson: Callable[[], Lesson]) -> None:
        """Check a module on its device, with a pass that leaves no trace if it is of a new kind.

        Raises
        ------
        ArchitectureError
            If its outputs are not those of its task, or a parameter gets no gradient.
        """
        architecture = request.architecture
        if not isinstance(architecture, Native):
            return
        self._changed = {
            key: each
            for key, each in self._changed.items()
            if not each.expired()  # type: ignore[no-untyped-call]
        }
        self._remember(each for _, each in _trained(module))
        found = lesson()
        learns = found.task.name, found.wanted, found.compute
        kind = (architecture, request.batch_size, learns, _structure(module))
        if kind not in self._passed:
            self._remember(_Pass(architecture, module, found).run(request.batch_size))
            self._passed.add(kind)

    def _remember(self, tensors: Iterable[Tensor]) -> None:
        for each in tensors:
            storage = each.untyped_storage()
            self._changed[storage._cdata] = StorageWeakRef(storage)  # type: ignore[no-untyped-call]


class _Pass:
    """A training step without its update, and an evaluation, both undone."""

    def __init__(self, architecture: Native, module: nn.Module, lesson: Lesson) -> None:
        self._architecture = architecture
        self._module = module
        self._data = lesson.data
        self._wanted = lesson.wanted
        self._task = lesson.task
        self._loss = loss_of(lesson.task)
        self._compute = lesson.compute

    def run(self, batch_size: int) -> list[Tensor]:
        """Return the buffers that training changes."""
        inputs, _ = self._data.first(batch_size)
        buffers = {name: each.clone() for name, each in self._module.named_buffers()}
        with random_numbers_of(random_states(), goes_on=False):
            trained = dict(_trained(self._module))
            outputs = self._train(trained, batch_size)
            self._module.eval()
            with torch.no_grad():
                evaluated = self._outputs(inputs)
        if self._task.loss in ("cross_entropy", "binary_cross_entropy"):
            rows, again = (_read(_rows_of_classes(each)) for each in (outputs, evaluated))
            check_logits(self._architecture, rows, again)
        frozen = [name for name, each in trained.items() if not each.requires_grad]
        check_still_trained(self._architecture, frozen)
        changed = [
            (each, buffers[name])
            for name, each in self._module.named_buffers()
            if name in buffers and not torch.equal(each, buffers[name])
        ]
        for each, before in changed:
            # One that grows with what it sees has no place for what was.
            if each.shape == before.shape:
                each.detach().copy_(before)
        self._module.zero_grad()
        return [each for each, _ in changed]

    def _train(self, trained: Mapping[str, nn.Parameter], batch_size: int) -> Tensor:
        """Return the first batch's outputs, if all parameters get their gradients."""
        self._module.train()
        first: Tensor | None = None
        used: list[frozenset[str]] = []
        passes = PASSES
        states = random_states()
        for inputs, targets in self._batches(batch_size):
            outputs = self._outputs(inputs)
            if first is None:
                first = outputs.detach()
                # Whoever draws numbers may use a layer now and then.
                passes = PASSES if random_states() == states else PASSES_OF_CHANCE
                self._check_strays(outputs, inputs)
            if outputs.requires_grad:
                loss = self._loss(outputs.float(), targets)
                loss.backward()  # type: ignore[no-untyped-call]
            used.append(frozenset(name for name, each in trained.items() if each.grad is not None))
            self._module.zero_grad()
            missing = [name for name in trained if not any(name in each for each in used)]
            if not missing or len(used) == passes:
                break
        assert first is not None
        varies = len(set(used)) > 1
        excused = missing if varies else _chosen(self._module, missing)
        check_gradients(self._architecture, missing, len(trained), excused)
        return first

    def _check_strays(self, outputs: Tensor, inputs: Inputs) -> None:
        """Refuse a network that learns through tensors which no optimiser knows."""
        own = {_storage(each) for each in self._module.parameters()}
        found = {_storage(each): each for each in _leaves(outputs)}
        if not found.keys() - own:
            return
        # Those that each pass makes anew, such as an initial state, are nothing to learn. While
        # the first ones are held here, no other tensor has their addresses.
        again = {_storage(each) for each in _leaves(self._outputs(inputs))}
        if lasting := [tuple(found[key].shape) for key in found.keys() & again - own]:
            raise ArchitectureError(
                f"{named(self._architecture)} computes with a tensor of shape {max(lasting)} that "
                "gets gradients but is none of its parameters, so that nothing trains it; keep "
                "layers in nn.ModuleList instead of a list, and tensors in nn.Parameter, or "
                "freeze them"
            )

    def _batches(self, batch_size: int) -> Iterator[Batch]:
        while True:
            parts = self._data.parts(batch_size)
            # The last one may be a handful, if it is not the only one.
            for _ in range(len(self._data) // batch_size or 1):
                yield next(parts)

    def _outputs(self, inputs: Inputs) -> Tensor:
        first = tensors_of(inputs)[0]
        with self._compute.autocast(first.device):
            # A forward pass may work in place.
            given: Any = call(self._module, copied(inputs))
        check_outputs(
            self._architecture,
            given,
            _read(given) if isinstance(given, Tensor) else None,
            (len(first), *self._wanted),
            task=self._task.name,
            precision=self._compute.precision,
            inputs_are_finite=all(bool(each.isfinite().all()) for each in tensors_of(inputs)),
        )
        outputs: Tensor = given
        return outputs


def _rows_of_classes(outputs: Tensor) -> Tensor:
    """Return outputs as (n, classes), whatever else a sample has."""
    if outputs.ndim <= 2:  # noqa: PLR2004
        return outputs
    return outputs.movedim(class_axis(outputs.ndim), -1).flatten(0, -2)


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, each) for name, each in module.named_parameters() if each.requires_grad)


def _lazy(module: nn.Module) -> list[str]:
    """Return the names of what has no shape yet."""
    tensors = chain(module.named_parameters(), module.named_buffers())
    return [name for name, each in tensors if is_lazy(each)]


def _give_shapes(module: nn.Module, example: Inputs) -> None:
    device = next(module.parameters()).device
    module.eval()
    # A forward pass may work in place.
    with torch.no_grad():
        call(module, mapped(example, lambda one: one.to(device, copy=True)))
    module.train()


def _leaves(outputs: Tensor) -> Iterator[Tensor]:
    """Yield the tensors at which a backward pass ends."""
    seen: set[Any] = set()
    waiting: list[Any] = [outputs.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__ == "AccumulateGrad":
            yield node.variable
        waiting += [following for following, _ in node.next_functions]


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address


def _structure(module: nn.Module) -> object:
    """Return what two builds that compute alike have in common."""
    layers = tuple((name, type(layer)) for name, layer in module.named_modules())
    tensors = tuple(
        (name, each.shape, each.dtype, each.requires_grad)
        for name, each in module.named_parameters()
    )
    return layers, tensors


def _chosen(module: nn.Module, missing: list[str]) -> list[str]:
    """Return those of the names whose layer is in a list of which other members are used."""
    lists = [
        f"{name}." if name else ""
        for name, each in module.named_modules()
        if isinstance(each, nn.ModuleList | nn.ModuleDict)
    ]
    used = [name for name, _ in _trained(module) if name not in missing]
    chosen = {each for each in lists if any(name.startswith(each) for name in used)}
    return [name for name in missing if any(name.startswith(each) for each in chosen)]


def _read(tensor: Tensor) -> Outputs:
    values = tensor.detach().cpu()
    # NumPy has no bfloat16.
    plain = values.float() if values.dtype == torch.bfloat16 else values
    return Outputs(plain.numpy(), str(tensor.dtype).removeprefix("torch."))


def _is_keras(module: nn.Module) -> bool:
    return any(kind.__module__.startswith("keras.") for kind in type(module).__mro__)
