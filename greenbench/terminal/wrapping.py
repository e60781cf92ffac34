"""Lines that break at words: a word, such as a name to copy, stays whole whatever its length."""

import re
from collections.abc import Iterator

from rich.text import Text

WORD = re.compile(r"[^ ]+")


def wrapped(line: Text, width: int, indent: int = 0) -> list[Text]:
    """Return the lines that a text becomes.

    Parameters
    ----------
    line : rich.text.Text
        On one line, in cells of a terminal: of some letters, such as 大, each takes two.
    width : int
        In cells. A word that is wider has a line of its own, and stands out.
    indent : int
        Of all lines but the first, in cells, beyond what the first begins with.
    """
    words = [found.span() for found in WORD.finditer(line.plain)]
    if line.cell_len <= width or len(words) < 2:  # noqa: PLR2004 -- nothing to break between
        return [line]
    margin = Text(" " * (words[0][0] + indent))
    found = [line[start:end] for start, end in _spans(line.plain, words, width, len(margin))]
    return [found[0], *(margin + rest for rest in found[1:])]


def _spans(
    plain: str, words: list[tuple[int, int]], width: int, margin: int
) -> Iterator[tuple[int, int]]:
    """Yield where each line starts and ends."""
    start, end = 0, words[0][1]
    used = Text(plain[:end]).cell_len
    for first, last in words[1:]:
        more = Text(plain[end:last]).cell_len
        if used + more > width:
            yield start, end
            start, used = first, margin + Text(plain[first:last]).cell_len
        else:
            used += more
        end = last
    yield start, end


def folded(line: str, width: int, indent: int = 0) -> list[str]:
    """Return the lines that a clean text without style becomes; see `wrapped`."""
    return [each.plain for each in wrapped(Text(line), width, indent)]


def widest_word(line: Text) -> int:
    """Return how wide the widest word of a text is, in cells."""
    return max((Text(word).cell_len for word in WORD.findall(line.plain)), default=0)
