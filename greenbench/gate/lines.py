"""Where the keys of a TOML text stand, which tomllib does not tell.

Each statement (a header, or a key with its value) is valid TOML by itself. So tomllib finds the
statements and reads their keys, whatever quotes, dots, comments or line breaks they have.
"""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Key = tuple[str | int, ...]
"""Names of tables and keys from the top; an element of an array by its number, from 0."""

DEPTH = 4
"""Parts of the longest key that is looked for: ``("budget", 0, "energy_wh", "max")``."""


def key_lines(text: str) -> dict[Key, int]:
    """Return the line of each key, counted from 1; that of a table is its header's.

    Parameters
    ----------
    text : str
        Valid TOML.

    Returns
    -------
    dict of tuple to int
        Keys within one statement are on its first line. Nothing within a key of `DEPTH` parts is
        certain to be there.
    """
    lines: dict[Key, int] = {(): 1}
    newest: dict[Key, int] = {}
    table: Key = ()
    for line, statement, parsed in _statements(text):
        if statement.lstrip().startswith("["):
            table = _enter(parsed, newest)
            keys = (table[:size] for size in range(1, len(table) + 1))
        else:
            keys = (table + key for key in _keys(parsed))
        for key in keys:
            lines.setdefault(key, line)
    return lines


def line_of(lines: Mapping[Key, int], key: Key) -> int:
    """Return the line of a key, or of the nearest table around it that has one.

    Parameters
    ----------
    lines : mapping of tuple to int
        See `key_lines`.
    key : tuple
        The key, from the top.
    """
    while key not in lines:
        key = key[:-1]
    return lines[key]


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    first, statement = 1, ""
    for line, content in enumerate(text.split("\n"), start=1):
        statement += content + "\n"
        try:
            parsed = tomllib.loads(statement)
        except ValueError:  # its value goes on in the next line
            continue
        yield first, statement, parsed
        first, statement = line + 1, ""


def _enter(header: dict[str, Any], newest: dict[Key, int]) -> Key:
    """Return the key of the table that a header opens, with the numbers of its array elements."""
    key: Key = ()
    inner: Any = header
    while inner and len(key) < DEPTH:
        [(name, inner)] = inner.items()
        key += (name,)
        if isinstance(inner, list):
            newest[key] = newest.get(key, -1) + 1
            inner = inner[0]
        if key in newest:
            key += (newest[key],)
    return key


def _keys(value: object, within: Key = ()) -> Iterator[Key]:
    if len(within) == DEPTH or not isinstance(value, dict | list):
        return
    for name, part in value.items() if isinstance(value, dict) else enumerate(value):
        key = (*within, name)
        yield key
        yield from _keys(part, key)
