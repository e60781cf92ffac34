"""Words that loaders share: names from the disk, and numbers of things."""


def shown(text: object) -> str:
    """Return a name from the disk as it can be printed on one line, whatever its bytes are."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def counted(number: int, what: str) -> str:
    """Return a number of things in words: ``1 image``, ``2 images``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
