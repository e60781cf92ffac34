"""How figures are written: few digits, and what their energy is."""

from collections.abc import Sequence

from greenbench.results.readings import Provenance

LEAST_P = 0.001
THREE_DIGITS = 100
UNKNOWN = "of unknown origin"


def three_digits(value: float, sign: str = "") -> str:
    """Return a number with three digits, or all before its point.

    Parameters
    ----------
    value : float
        Any.
    sign : str
        ``"+"`` shows that of a gain, too.
    """
    if abs(value) >= THREE_DIGITS or value == 0:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}#.3g}".rstrip(".")


def percent(share: float) -> str:
    """Return a share such as an accuracy in per cent.

    Parameters
    ----------
    share : float
        In [0, 1].
    """
    return f"{share:.1%}"


def chance(p: float) -> str:
    """Return a p value.

    Parameters
    ----------
    p : float
        In [0, 1].
    """
    return f"{p:.3f}" if p >= LEAST_P else f"< {LEAST_P}"


def joined(*parts: str | None) -> str:
    """Return what is said of the parts, with commas between.

    Parameters
    ----------
    *parts : str or None
        Those that are empty are left out.
    """
    return ", ".join(filter(None, parts))


def provenance_label(*provenances: str | None) -> str:
    """Return whether energies are measured or estimated, each once if they are both.

    Parameters
    ----------
    *provenances : str or None
        As `greenbench.results.readings.Provenance` names them; others are of unknown origin.
    """
    known = list(Provenance)
    labels = {Provenance(each).label if each in known else UNKNOWN for each in provenances}
    return joined(*sorted(labels))


def first_few(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many more there are.

    Parameters
    ----------
    names : sequence of str
        They may have commas.
    most : int
        How many are named.
    """
    more = len(names) - most
    return "; ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def on(host: str | None) -> str:
    """Return which host figures are of, for a caption; nothing where there is one only."""
    return f" on {host}" if host else ""
