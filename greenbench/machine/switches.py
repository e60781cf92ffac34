"""Switches: variables of the environment that are 1 or 0."""

from collections.abc import Mapping

from greenbench.errors import ConfigurationError


def is_on(environment: Mapping[str, str], name: str) -> bool | None:
    """Return whether a variable is 1, and None where it is not set or empty.

    Parameters
    ----------
    environment : mapping of str to str
        Such as `os.environ`.
    name : str
        Of the variable.

    Raises
    ------
    ConfigurationError
        If it is anything but 1 or 0.
    """
    text = environment.get(name)
    if not text:
        return None
    if text not in ("0", "1"):
        raise ConfigurationError(f"{name} is {text!r}; expected 1 or 0")
    return text == "1"
