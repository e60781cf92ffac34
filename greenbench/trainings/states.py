"""States: what a training keeps, as plain data and arrays; to read it back runs nobody's code.

A state is an archive of NumPy arrays, as `numpy.savez` writes it. The first of them is a text in
JSON that says how the others make up what was kept. Numbers, texts, None and lists stand for
themselves in it; everything else is an object with one member, whose name says what it is.
"""

import importlib
import json
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

TAKEN = "numbers, texts, lists, dicts, NumPy arrays and tensors"
_PLAIN = (type(None), bool, int, float, str)
_LISTS: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}
_BYTES: dict[type, str] = {bytes: "bytes", bytearray: "bytearray"}
_DICTS: dict[type, str] = {dict: "dict", OrderedDict: "ordered", Counter: "counter"}
REGISTERED = 2
"""What NumPy says of a type of numbers that another package brings."""
_TORCH = "greenbench.backends.torch_arrays"


def pack(value: Any) -> bytes:
    """Return a state as bytes.

    Parameters
    ----------
    value : object
        `TAKEN`, nested in each other: a ``state_dict()`` of torch, weights of Keras.

    Raises
    ------
    TypeError
        If there is something else in it; the message names it and says what to do.
    """
    packer = _Packer()
    try:
        tree = json.dumps(packer.encode(value, ""))
    except RecursionError:
        raise TypeError("something that contains itself; save it without that") from None
    stream = BytesIO()
    np.savez(stream, _of_bytes(tree.encode()), *packer.arrays)
    return stream.getvalue()


def unpack(content: bytes) -> Any:
    """Return what `pack` was given.

    Raises
    ------
    ValueError, LookupError, TypeError, OSError, zipfile.BadZipFile
        If it is not what `pack` returned.
    """
    with np.load(BytesIO(content), allow_pickle=False) as archive:
        tree, *arrays = (archive[name] for name in archive.files)
    return _Unpacker(arrays).decode(json.loads(tree.tobytes()))


class _Packer:
    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self._known: dict[Any, Any] = {}

    def encode(self, value: Any, where: str) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is list:
            return [self.encode(each, f"{where}[{place}]") for place, each in enumerate(value)]
        if kind in _LISTS:
            members = enumerate(value)
            return {_LISTS[kind]: [self.encode(each, f"{where}[{i}]") for i, each in members]}
        if kind in _DICTS:
            return self._dict(value, _DICTS[kind], where)
        if kind in _BYTES:
            return {_BYTES[kind]: self._add(_of_bytes(value))}
        if kind is complex:
            return {"complex": [value.real, value.imag]}
        if kind is np.ndarray or isinstance(value, np.generic):
            return self._array(value, where)
        torch: Any = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor):
            return self._tensor(value, where)
        raise TypeError(_refusal(value, where))

    def _dict(self, value: Any, tag: str, where: str) -> Any:
        items = [
            [self.encode(name, f"{where} key"), self.encode(each, f"{where}[{name!r:.40}]")]
            for name, each in value.items()
        ]
        if tag != "ordered":
            return {tag: items}
        # A state_dict() keeps the versions of its modules so.
        return {tag: [items, self.encode(vars(value), where)]}

    def _array(self, value: Any, where: str) -> Any:
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"an array of objects{_at(where)}; save arrays of numbers or texts")
        # Types of other packages, such as bfloat16, are unknown to NumPy's format.
        name = array.dtype.name if array.dtype.isbuiltin == REGISTERED else None
        if isinstance(value, np.generic):
            return {"scalar": [self._add(_bare(array, name)), name]}
        key = "array", id(value)
        if key not in self._known:
            self._known[key] = {"array": [self._add(_bare(array, name)), name]}
        return self._known[key]

    def _tensor(self, value: Any, where: str) -> Any:
        to_bytes: Callable[[Any], Any] = importlib.import_module(_TORCH).to_bytes
        try:
            content, about = to_bytes(value)
        except TypeError as error:
            raise TypeError(f"a {error}{_at(where)}; save a dense tensor") from None
        # Weights that are tied lie in the same memory.
        key = value.data_ptr(), *map(str, about.values())
        if not content.size or key not in self._known:
            self._known[key] = self._add(content)
        return {"tensor": [self._known[key], about]}

    def _add(self, array: NDArray[Any]) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1


class _Unpacker:
    def __init__(self, arrays: list[NDArray[Any]]) -> None:
        self._arrays = arrays

    def decode(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self.decode(each) for each in tree]
        if not isinstance(tree, dict):
            return tree
        ((tag, content),) = tree.items()
        for lists in (_LISTS, _DICTS, _BYTES):
            for kind, name in lists.items():
                if tag == name:
                    return self._collection(kind, content)
        if tag == "complex":
            return complex(*content)
        if tag in ("array", "scalar"):
            place, name = content
            array = self._arrays[place]
            array = array if name is None else array.view(np.dtype(name))
            return array if tag == "array" else array[()]
        if tag == "tensor":
            place, about = content
            return importlib.import_module(_TORCH).to_tensor(self._arrays[place], about)
        raise ValueError(f"nothing is called {tag!r}")

    def _collection(self, kind: type, content: Any) -> Any:
        if kind in _BYTES:
            return kind(self._arrays[content].tobytes())
        if kind in _LISTS:
            return kind(map(self.decode, content))
        items, further = content if kind is OrderedDict else (content, None)
        found = kind({self.decode(name): self.decode(each) for name, each in items})
        if further is not None:
            vars(found).update(self.decode(further))
        return found


def _of_bytes(content: bytes | bytearray) -> NDArray[np.uint8]:
    return np.frombuffer(bytes(content), np.uint8)


def _bare(array: NDArray[Any], name: str | None) -> NDArray[Any]:
    return array if name is None else array.view(f"u{array.dtype.itemsize}")


def _at(where: str) -> str:
    return f" in state{where}" if where else ""


def _refusal(value: object, where: str) -> str:
    kind = type(value).__name__
    if callable(getattr(value, "state_dict", None)):
        return f"a {kind}{_at(where)}; save its state_dict()"
    return f"a {kind}{_at(where)}; save {TAKEN} alone"
