"""Texts for other programs: JSON, spreadsheets, Markdown, workflow commands; a way in each."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from greenbench.text.clean import clean, cleaned

_ASKED = re.compile(r"##(\w*)\[")
_MARKDOWN = re.compile(r"([\\`*{}\[\]<>&|~#!$]|(?<=\bwww)\.|(?<=:)/(?=/)|(?<=\w)@(?=\w))")


def strict_json(value: Any) -> str:
    """Return strict JSON in ASCII, in which nothing is a control character or a command.

    Parameters
    ----------
    value : object
        A figure that is not finite becomes null.

    Returns
    -------
    str
        Ends in a newline.
    """
    text = json.dumps(_without_nan(value), indent=2, allow_nan=False)
    # Neither stands outside a text.
    return _ASKED.sub(r"##\1\\u005b", text.replace("\x7f", "\\u007f")) + "\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cleaned_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with all texts cleaned, also those inside its JSON.

    Parameters
    ----------
    row : mapping
        As `greenbench.results.table` gives it.
    """
    return {name: _cleaned_json(value) or cleaned(value) for name, value in row.items()}


def _cleaned_json(value: Any) -> str | None:
    if isinstance(value, str) and value.startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            found = json.loads(value)
            return value if cleaned(found) == found else json.dumps(cleaned(found), sort_keys=True)
    return None


def to_cell(value: Any) -> Any:
    """Return a cell of a CSV: a text on one line that no spreadsheet takes for a formula.

    Parameters
    ----------
    value : object
        A number stays one, also a negative one that is a text.
    """
    if not isinstance(value, str):
        return value
    text = clean(value.strip()).strip()
    is_formula = text.startswith(tuple("=+-@")) and not _is_number(text)
    return f"'{text}" if is_formula else text


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def in_markdown(text: object) -> str:
    """Return a text for a line or a cell of Markdown, in which nothing is markup or a link.

    Parameters
    ----------
    text : object
        Any.
    """
    return _MARKDOWN.sub(r"\\\1", clean(text))


def workflow_command(name: str, properties: Mapping[str, str], message: str) -> str:
    """Return a workflow command of GitHub, on a line.

    Parameters
    ----------
    name : str
        Such as ``"error"``.
    properties : mapping of str to str
        Names and values.
    message : str
        Of lines that are clean.
    """
    shown = ",".join(f"{key}={_property(clean(value))}" for key, value in properties.items())
    lines = "\n".join(map(clean, message.split("\n")))
    return f"::{name} {shown}::{_message(lines)}\n"


def _message(text: str) -> str:
    # As @actions/core does.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
