"""How architecture functions are declared, and how a name becomes a spec."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from greenbench import registry
from greenbench.architectures.spec import Native, Shape, Spec, described
from greenbench.datasets.loaders import IMAGES, SEVERAL, TOKENS, held_by
from greenbench.errors import ArchitectureError, UnknownNameError
from greenbench.machine.places import at, calling
from greenbench.machine.signatures import options_of
from greenbench.tasks.known import PIXEL, SAMPLE, TOKEN, wanted_per

Function = TypeVar("Function", bound=Callable[..., Any])
Sizes = Mapping[str, Mapping[str, Any]]

MOST = 100_000
"""Layers, and how wide one is; far beyond, figures overflow."""
_IMAGE = 3
_EXAMPLES = {SAMPLE: "resnet_small or mlp", PIXEL: "unet", TOKEN: "gpt_small"}


def family(
    names: Callable[[], Sizes] | None = None, **sizes: Mapping[str, Any]
) -> Callable[[Function], Function]:
    """Declare the sizes of an architecture, smallest first.

    Parameters
    ----------
    names : callable, optional
        Gives sizes that are looked up when they are asked for; one of them must then be chosen.
    **sizes : mapping
        Options of the function for each size.

    Examples
    --------
    >>> from greenbench.architectures import Flatten, Linear, Spec, family
    >>> @family(s={"width": 8}, m={"width": 64})
    ... def my_net(image_shape, classes, width=8):
    ...     return Spec("my_net", image_shape, [Flatten(), Linear(width), Linear(classes)])
    """

    def decorate(function: Function) -> Function:
        setattr(function, "sizes", names or sizes)  # noqa: B010
        return function

    return decorate


def native(backend: str) -> Callable[[Function], Function]:
    """Declare that a function returns `backend`'s own model instead of a `Spec`."""

    def decorate(function: Function) -> Function:
        setattr(function, "native_backend", backend)  # noqa: B010
        return function

    return decorate


def per(kind: str) -> Callable[[Function], Function]:
    """Declare that a function's networks have outputs for each pixel or token, not each sample."""

    def decorate(function: Function) -> Function:
        setattr(function, "per", kind)  # noqa: B010
        return function

    return decorate


def sizes_of(function: Callable[..., Any]) -> dict[str, Mapping[str, Any]]:
    """Return the declared sizes of an architecture function, smallest first."""
    sizes = getattr(function, "sizes", {})
    return dict(sizes() if callable(sizes) else sizes)


def build_architecture(
    name: str,
    input_shape: Shape | Mapping[str, Shape],
    outputs: int | Shape,
    *,
    size: str | None = None,
    options: Mapping[str, Any] | None = None,
    vocabulary: int | None = None,
) -> Spec | Native:
    """Return the spec, or the native builder, of a registered architecture.

    Its function is called with the shape of an input, the length of the outputs' axis of classes
    (the first of an image, else the last), its options, and `vocabulary` if it has such a
    parameter.

    Parameters
    ----------
    name : str
        Name in the registry.
    input_shape : tuple of int or mapping of str to tuple of int
        Of a sample, without the batch axis: channels, height, width; or features; or tokens. A
        mapping of several inputs is for native architectures.
    outputs : int or tuple of int
        Shape of a sample's outputs; a number is the length of a vector.
    size : str, optional
        Member of its family.
    options : mapping, optional
        Further arguments of its function.
    vocabulary : int, optional
        How many token ids the data has; None of data that are no token ids.

    Raises
    ------
    UnknownNameError
        If name, size or an option is not known.
    ArchitectureError
        If size and options contradict each other, or the network doesn't fit the data.
    """
    wanted = (outputs,) if isinstance(outputs, int) else tuple(outputs)
    function = registry.architectures.get(name)
    arguments = check_arguments(name, size, options or {})
    _check_inputs(name, function, input_shape, vocabulary)
    if "vocabulary" in _parameters(function) and vocabulary is not None:
        arguments["vocabulary"] = vocabulary
    classes = wanted[0 if len(wanted) == _IMAGE else -1]
    backend = getattr(function, "native_backend", None)
    if backend is not None:
        return Native(name, backend, partial(function, input_shape, classes, **arguments))
    with calling(f"architecture {name!r}", function, ArchitectureError):
        spec: Spec = function(input_shape, classes, **arguments)
    if not isinstance(spec, Spec):
        raise ArchitectureError(
            f"architecture {name!r}{at(function)} returned {type(spec).__name__}; expected a Spec; "
            "declare with @native for which backend it is if it is a model of that backend's own"
        )
    _check_spec(f"{name}{at(function)}", spec, wanted, vocabulary)
    return spec


def check_arguments(name: str, size: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an architecture's function is called with besides the data's shapes.

    Parameters
    ----------
    name : str
        Name in the registry.
    size : str or None
        Member of its family.
    options : mapping
        Further arguments.

    Raises
    ------
    UnknownNameError
        If size or an option is not known.
    ArchitectureError
        If size and options contradict each other, or a size is missing.
    """
    function = registry.architectures.get(name)
    if hasattr(function, "of_case"):
        # A command has whatever options and sizes its case gives it.
        return dict(options)
    is_library = callable(getattr(function, "sizes", None))
    if size is None and is_library:
        raise ArchitectureError(
            f"architecture {name!r} is a library of networks; expected one of them, such as "
            f"{name}.{next(iter(sizes_of(function)))}"
        )
    sizes = sizes_of(function) if size is not None else {}
    if size is not None and size not in sizes:
        raise UnknownNameError(f"{'network' if is_library else 'size'} of {name}", size, sizes)
    chosen = dict(sizes[size]) if size else {}
    if clash := sorted(set(chosen) & set(options)):
        raise ArchitectureError(
            f"{name}.{size} sets {', '.join(clash)} itself; "
            "choose either the size or the option, not both"
        )
    known = options_taken(function)
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of {name}", option, known)
    return {**chosen, **options}


def check_data(name: str, dataset: str) -> None:
    """Refuse a data set of which it is known, without loading it, that an architecture cannot take.

    Parameters
    ----------
    name, dataset : str
        Names in the registry.

    Raises
    ------
    ArchitectureError
        If it is declared to hold other samples than the architecture's function takes.
    """
    function, samples = registry.architectures.get(name), held_by(dataset).samples
    if samples is None or hasattr(function, "training"):
        return
    has = f"data set {dataset!r} has {samples}"
    if samples == SEVERAL:
        _check_one_input(name, function, has)
        return
    are_tokens = samples == TOKENS
    _check_samples(name, function, has, are_images=samples == IMAGES, are_tokens=are_tokens)
    if are_tokens and _is_ours(name) and "vocabulary" not in _parameters(function):
        raise ArchitectureError(
            f"architecture {name!r} computes with numbers, but {has}; choose another, such as "
            "gpt_small"
        )


def check_outputs(name: str, task: str) -> None:
    """Refuse a task of ours for which a network of ours has outputs of another kind.

    Parameters
    ----------
    name, task : str
        Names in the registry.

    Raises
    ------
    ArchitectureError
        If the task wants them for each pixel, token or sample, and the network has others.
    """
    if not _is_ours(name) or registry.tasks.place(task) is not None:
        return
    has, wants = getattr(registry.architectures.get(name), "per", SAMPLE), wanted_per(task)
    if has != wants:
        raise ArchitectureError(
            f"architecture {name!r} has outputs for each {has}, but task {task!r} wants them for "
            f"each {wants}; choose another, such as {_EXAMPLES[wants]}"
        )


def options_taken(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the options of an architecture's function, with their defaults.

    See `greenbench.machine.signatures.options_of`. A vocabulary is none: the data decides on it.
    A training of somebody's own is called with a run instead of the data's shapes.
    """
    given = 1 if hasattr(function, "training") else 2
    return {n: v for n, v in options_of(function, given).items() if n != "vocabulary"}


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _check_inputs(
    name: str,
    function: Callable[..., Any],
    shape: Shape | Mapping[str, Shape],
    vocabulary: int | None,
) -> None:
    """Refuse data that a function says it does not take, by the names of its parameters."""
    are_tokens = vocabulary is not None
    given = described(shape, are_tokens=are_tokens)
    has = f"the data set has {given}"
    if isinstance(shape, Mapping):
        _check_one_input(name, function, has)
    are_images = len(shape) == _IMAGE and not isinstance(shape, Mapping)
    _check_samples(name, function, has, are_images=are_images, are_tokens=are_tokens)


def _check_one_input(name: str, function: Callable[..., Any], has: str) -> None:
    if not hasattr(function, "native_backend"):
        raise ArchitectureError(
            f"architecture {name!r}{at(function)} takes one input, but {has}; "
            "expected a network of a backend's own, declared with @native"
        )


def _check_samples(
    name: str, function: Callable[..., Any], has: str, *, are_images: bool, are_tokens: bool
) -> None:
    parameters = _parameters(function)
    if next(iter(parameters), "") == "image_shape" and not are_images:
        is_own = registry.architectures.origin(name) is not None
        advice = ", or call its first parameter input_shape if it takes them" if is_own else ""
        others = "gpt_small" if are_tokens else "mlp"
        raise ArchitectureError(
            f"architecture {name!r}{at(function)} is for images, but {has}; "
            f"choose another, such as {others}{advice}"
        )
    needed = parameters.get("vocabulary")
    if needed is not None and needed.default is needed.empty and not are_tokens:
        raise ArchitectureError(
            f"architecture {name!r}{at(function)} is for token ids, but {has}; "
            "choose another, such as mlp"
        )


def _check_spec(who: str, spec: Spec, wanted: Shape, vocabulary: int | None) -> None:
    if (spec.vocabulary or 0) < (vocabulary or 0):
        if spec.vocabulary is None:
            raise ArchitectureError(
                f"{who} computes with numbers, but the data set has token ids; expected an "
                "Embedding as the first layer, or choose another architecture, such as gpt_small"
            )
        raise ArchitectureError(
            f"{who} knows {spec.vocabulary} token ids, but the data set has {vocabulary}; give "
            "its Embedding as many: a parameter `vocabulary` gets their number"
        )
    if spec.vocabulary is not None and vocabulary is None:
        raise ArchitectureError(
            f"{who} is for token ids, but the data set has {described(spec.input_shape)}; leave "
            "its Embedding out, or choose another architecture, such as mlp"
        )
    if spec.outputs != wanted:
        raise ArchitectureError(
            f"{who} ends in {_counted(spec.outputs)} outputs; expected {_counted(wanted)}"
            f"{_advice(spec.outputs, wanted)}"
        )


def _is_ours(name: str) -> bool:
    return registry.architectures.place(name) is None


def _counted(shape: Shape) -> str:
    return "×".join(map(str, shape))


def _advice(shape: Shape, wanted: Shape) -> str:
    if len(shape) == len(wanted):
        return ", as many as the task wants"
    if len(wanted) == 1:
        return ", a value each and no more axes: end with Flatten or GlobalPool, and Linear"
    return ", since the task wants them for each pixel or token: choose another architecture"
