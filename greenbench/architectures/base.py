"""How architecture functions are declared, and how a name becomes a spec."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from greenbench import registry
from greenbench.architectures.spec import Native, Spec
from greenbench.errors import ArchitectureError, UnknownNameError
from greenbench.machine.places import at, calling
from greenbench.machine.signatures import options_of

Function = TypeVar("Function", bound=Callable[..., Any])


def family(**sizes: Mapping[str, Any]) -> Callable[[Function], Function]:
    """Declare the sizes of an architecture, smallest first.

    Parameters
    ----------
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
        setattr(function, "sizes", sizes)  # noqa: B010
        return function

    return decorate


def native(backend: str) -> Callable[[Function], Function]:
    """Declare that a function returns `backend`'s own model instead of a `Spec`."""

    def decorate(function: Function) -> Function:
        setattr(function, "native_backend", backend)  # noqa: B010
        return function

    return decorate


def sizes_of(function: Callable[..., Any]) -> dict[str, Mapping[str, Any]]:
    """Return the declared sizes of an architecture function, smallest first."""
    return dict(getattr(function, "sizes", {}))


def build_architecture(
    name: str,
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    size: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Spec | Native:
    """Return the spec, or the native builder, of a registered architecture.

    Parameters
    ----------
    name : str
        Name in the registry.
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    size : str, optional
        Member of its family.
    options : mapping, optional
        Further arguments of its function.

    Raises
    ------
    UnknownNameError
        If name, size or an option is not known.
    ArchitectureError
        If size and options contradict each other, or the network doesn't fit the images.
    """
    function = registry.architectures.get(name)
    arguments = check_arguments(name, size, options or {})
    backend = getattr(function, "native_backend", None)
    if backend is not None:
        return Native(name, backend, partial(function, image_shape, classes, **arguments))
    with calling(f"architecture {name!r}", function, ArchitectureError):
        spec: Spec = function(image_shape, classes, **arguments)
    if not isinstance(spec, Spec):
        raise ArchitectureError(
            f"architecture {name!r}{at(function)} returned {type(spec).__name__}; expected a Spec; "
            "declare with @native for which backend it is if it is a model of that backend's own"
        )
    if spec.classes != classes:
        raise ArchitectureError(
            f"{name}{at(function)} ends in {spec.classes} outputs; expected {classes}, one a class"
        )
    return spec


def check_arguments(name: str, size: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an architecture's function is called with besides the images' shape.

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
        If size and options contradict each other.
    """
    function = registry.architectures.get(name)
    sizes = sizes_of(function)
    if size is not None and size not in sizes:
        raise UnknownNameError(f"size of {name}", size, sizes)
    chosen = dict(sizes[size]) if size else {}
    if clash := sorted(set(chosen) & set(options)):
        raise ArchitectureError(
            f"{name}.{size} sets {', '.join(clash)} itself; "
            "choose either the size or the option, not both"
        )
    known = list(options_of(function, given=2))
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of {name}", option, known)
    return {**chosen, **options}
