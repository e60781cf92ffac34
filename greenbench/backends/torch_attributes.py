"""What a module keeps in attributes, beside its parameters and buffers.

A replay of its work changes none of it, nor sees what Python has changed.
"""

import pickle
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from typing import Any

from torch import Tensor, nn

_COMMON = frozenset(vars(nn.Module()))
"""What each module has, such as its hooks, and whether it is training."""


class Attributes:
    """The attributes of a module and its layers, as they are when this is made.

    Parameters
    ----------
    module : torch.nn.Module
        Whose. What cannot be pickled is known by its identity alone.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        tensors = chain(module.parameters(), module.buffers())
        self._known = {id(each) for each in tensors}
        self._objects: dict[Any, Any] = {}
        self._values: dict[int, tuple[Tensor, int, Tensor]] = {}
        self._before = {
            (path, name): (layer, value, self._written(value, keeps=True))
            for path, layer, name, value in _attributes(module)
        }

    def changed(self) -> str | None:
        """Return the name of one that is another by now."""
        for path, _, name, value in _attributes(self._module):
            before = self._before.get((path, name))
            if before is None or before[2] != self._written(value, keeps=False):
                return f"{path}.{name}".lstrip(".")
        return None

    def put_back(self) -> None:
        """Make all that changed what it was."""
        for path, layer, name, value in list(_attributes(self._module)):
            if (path, name) not in self._before:
                del vars(layer)[name]
            elif self._before[path, name][2] != self._written(value, keeps=False):
                _, former, written = self._before[path, name]
                vars(layer)[name] = self._read(former, written)
        for tensor, version, values in self._values.values():
            if tensor._version != version:
                tensor.detach().copy_(values)

    def _written(self, value: Any, *, keeps: bool) -> bytes:
        stream = BytesIO()
        pickler = _Pickler(stream)
        pickler.refer = lambda each: self._key(each, keeps=keeps)
        try:
            pickler.dump(value)
        except Exception:
            return str(id(value)).encode()
        return stream.getvalue()

    def _key(self, value: Any, *, keeps: bool) -> Any:
        if not isinstance(value, Tensor | nn.Module):
            return None
        key = id(value), 0
        # Of a tensor of inference mode, whether it was changed is not known.
        if isinstance(value, Tensor) and id(value) not in self._known and not value.is_inference():
            version: int = value._version
            key = id(value), version
            if keeps:
                self._values[id(value)] = value, version, value.detach().clone()
        if keeps:
            self._objects[key] = value
        return key

    def _read(self, former: Any, written: bytes) -> Any:
        reader = _Unpickler(BytesIO(written))
        reader.objects = self._objects
        try:
            return reader.load()
        except Exception:
            return former


class _Pickler(pickle.Pickler):
    refer: Any

    def persistent_id(self, obj: Any) -> Any:
        return self.refer(obj)


class _Unpickler(pickle.Unpickler):
    objects: dict[Any, Any]

    def persistent_load(self, pid: Any) -> Any:
        return self.objects[pid]


def _attributes(module: nn.Module) -> Iterator[tuple[str, nn.Module, str, Any]]:
    for path, layer in module.named_modules():
        for name, value in vars(layer).items():
            if name not in _COMMON:
                yield path, layer, name, value
