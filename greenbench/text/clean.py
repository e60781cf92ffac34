"""The one function that names, messages and cells pass before anybody reads them.

Names come from anybody: plugins, tables, stores, branches, file names, errors of users' code. A
terminal obeys escape sequences, a log its workflow commands, and a reader believes an order of
letters that others have turned round.
"""

import re
from collections.abc import Mapping
from typing import Any

_NEVER_LETTERS = "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
# Letters of scripts and pictures, which a joiner may follow; Latin ones need none.
_JOINED = "\u0590-\u1fff\u2070-\u2fff\u3001-\ud7ff\ue000-\uffff\U00010000-\U000dffff"
_JOINERS = "\u180e\u200c\u200d"
_UNSEEN = (
    # Controls of C0 and C1, which end lines, move cursors and begin escape sequences.
    "\0-\x1f\x7f-\x9f"
    # Separators of lines and paragraphs, directions, and what has no width.
    f"\xad\u061c{_JOINERS}\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    # Tags; between the two are variants of letters.
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    # Halves of letters, which no UTF-8 has, and code points that are none.
    f"\ud800-\udfff\ufdd0-\ufdef{_NEVER_LETTERS}"
)
_ODD = re.compile(
    # Flags of England, Scotland and Wales are spelled in tags.
    "(?P<flag>\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f)"
    f"|(?P<joiner>(?<=[{_JOINED}])(?<![{_UNSEEN}])[{_JOINERS}](?![{_JOINERS}]))"
    f"|[{_UNSEEN}]"
)
COMMAND = re.compile(r"(?P<start>^[^\S\n]*)(?=::)|(?P<hashes>##)(?=\w*\[)", re.MULTILINE)
"""Where a log's reader would take a line for a command: ``::error::``, ``##[error]``."""
_IN_TEXT = re.compile(r"[\0\ud800-\udfff]")


def clean(text: object) -> str:
    r"""Return a text on one line, in which nothing is unseen and nothing is obeyed.

    Parameters
    ----------
    text : object
        Anything, such as a name out of somebody's table.

    Returns
    -------
    str
        Without control characters, directions, separators of lines and half letters, which
        stand there as Python writes them: ``\x1b``, ``\n``, ``\u202e``. It begins no workflow
        command. Other text of any script is unchanged, and so is what was cleaned before.
    """
    return disarmed(_ODD.sub(_seen, str(text)))


def cleaned(value: Any) -> Any:
    """Return a value with all texts in it cleaned, also those in mappings, lists and tuples.

    Parameters
    ----------
    value : object
        Such as a row.
    """
    if isinstance(value, str):
        # A member of an enumeration is no stranger's.
        return clean(value) if type(value) is str else value
    if isinstance(value, Mapping):
        return {cleaned(name): cleaned(each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(cleaned, value))
    return value


def disarmed(text: str) -> str:
    """Return lines of which none is a workflow command of GitHub, Azure or TeamCity.

    Parameters
    ----------
    text : str
        With any number of lines.
    """
    return COMMAND.sub(_disarmed, text)


def escaped(text: str) -> str:
    """Return lines in which only their ends and tabs are control characters.

    Parameters
    ----------
    text : str
        With any number of lines.
    """
    return _ODD.sub(lambda found: found[0] if found[0] in "\n\t" else _seen(found), text)


def storable(text: str) -> str:
    """Return a text that databases take: without NUL and half letters.

    Parameters
    ----------
    text : str
        With any number of lines.
    """
    return _IN_TEXT.sub(_seen, text)


def _seen(found: re.Match[str]) -> str:
    is_kept = found.re is _ODD and found.lastgroup is not None
    return found[0] if is_kept else found[0].encode("unicode-escape").decode("ascii")


def _disarmed(found: re.Match[str]) -> str:
    return "#\\#" if found["hashes"] else f"{found['start']}\\"
