"""Canvas: how figures look, and how they become SVG for a page and files for elsewhere.

A page may be light or dark, so the SVG inside it names colours by the page's variables; files
have the light ones. Equal figures give equal bytes.
"""

import io
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

# Okabe and Ito's palette (2008), which people without full colour vision tell apart, darkened.
COLOURS = {
    "ink": "#1b1d1e",
    "muted": "#656b6f",
    "line": "#d3d7d9",
    "paper": "#fefefe",
    "series-1": "#0071b1",
    "series-2": "#b85000",
    "series-3": "#00805d",
    "series-4": "#a84c85",
    "series-5": "#826700",
    "series-6": "#4a4e9e",
}
SERIES = tuple(colour for name, colour in COLOURS.items() if name.startswith("series"))
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.2)),
    (0, (6, 2, 1, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (9, 3)),
)
HATCHES = ("", "//", "..", "xx", "--", "\\\\")
# Narrow, so that its texts can be read on a phone.
SIZE_INCHES = (5.4, 3.9)
TITLE_INCHES = 0.3
TITLE_LETTERS = 64
SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"
FONT = "'DejaVu Sans'"
FALLBACK = f"{FONT}, Verdana, sans-serif"
WRITTEN = tuple(f"{{{SVG}}}{name}" for name in ("text", "tspan", "style", "title"))
PAINTED = ("style", "fill", "stroke")
PLACED = ("d", "x", "y", "transform", "points")

STYLE: dict[Any, Any] = {
    # Names are names: a dollar in one begins no formula.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "greenbench",
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes
    ----------
    name : str
        Of its files, and the beginning of ids in the page.
    title, alternative : str
        What it shows, and the same for those who cannot see it, with the figures.
    page_svg : str
        SVG for a page, with tooltips as titles.
    svg, png : bytes
        Files.
    """

    name: str
    title: str
    alternative: str
    page_svg: str
    svg: bytes
    png: bytes


@dataclass(frozen=True)
class Look:
    """What tells one series from another, with colour and without.

    Attributes
    ----------
    colour, marker, hatch : str
        As matplotlib takes them.
    dash : str or tuple
        A style of lines.
    """

    colour: str
    dash: Any
    marker: str
    hatch: str

    @classmethod
    def of(cls, number: int) -> "Look":
        """Return the look of a series, from 0 on; the first 36 all differ."""
        # A colour that comes again has another shape.
        shape = (number + number // len(SERIES)) % len(DASHES)
        return cls(SERIES[number % len(SERIES)], DASHES[shape], MARKERS[shape], HATCHES[shape])


class Canvas:
    """What a figure is drawn on.

    Attributes
    ----------
    drawing : matplotlib.figure.Figure
        Empty at first.
    tips : dict of str to str
        Ids of artists, and what is said when one points at them.
    """

    def __init__(self, height: float = SIZE_INCHES[1]) -> None:
        self.drawing = Drawing(figsize=(SIZE_INCHES[0], height), layout="constrained")
        self.tips: dict[str, str] = {}

    def tip(self, artist: Any, text: str) -> None:
        """Say a text when somebody points at an artist."""
        identity = f"tip-{len(self.tips)}"
        artist.set_gid(identity)
        self.tips[identity] = text

    def legend(self, columns: int) -> None:
        """Draw a legend where it covers nothing."""
        self.drawing.legend(loc="outside lower center", ncols=columns)


def draw(
    name: str, title: str, alternative: str, on: Callable[[Canvas], None], **options: Any
) -> Figure:
    """Draw a figure and render it.

    Parameters
    ----------
    name, title, alternative : str
        See `Figure`.
    on : callable
        Draws on the canvas that it is given.
    **options
        Of `Canvas`.
    """
    with _style():
        canvas = Canvas(**options)
        on(canvas)
        # A page has its own headings; a file stands alone.
        page = _for_page(name, alternative, _saved(canvas, "svg").decode(), canvas.tips)
        # Whoever measures words to wrap them takes dollars for formulas, even so.
        has_dollars = "$" in title
        shown = textwrap.fill(title, TITLE_LETTERS) if has_dollars else title
        canvas.drawing.suptitle(shown, fontsize=10, x=0.01, ha="left", wrap=not has_dollars)
        canvas.drawing.set_figheight(canvas.drawing.get_figheight() + TITLE_INCHES)
        canvas.drawing.set_facecolor(COLOURS["paper"])
        said = {"Title": title, "Description": alternative}
        svg = _saved(canvas, "svg", said).replace(FONT.encode(), FALLBACK.encode())
        return Figure(name, title, alternative, page, svg, _saved(canvas, "png", said, dpi=150))


def _saved(canvas: Canvas, form: str, said: dict[str, Any] | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    # Neither a date nor a version: equal figures are equal files.
    unsaid = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[form]
    canvas.drawing.savefig(stream, format=form, metadata={**unsaid, **(said or {})}, **options)
    return stream.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context():
        # A user's own matplotlibrc must not change the report.
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def _for_page(name: str, alternative: str, text: str, tips: dict[str, str]) -> str:
    """Return SVG that shares a page with others: own ids, the page's colours, tooltips."""
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for attribute in ("width", "height"):
        root.attrib.pop(attribute, None)
    used = set(_references(root))
    for element in root.iter():
        if element.tag not in WRITTEN:
            element.text = None
        element.tail = None
        identity = element.attrib.pop("id", "")
        if identity in used:
            element.set("id", f"{name}-{identity}")
        if identity in tips:
            _say(element, tips[identity])
        if target := element.attrib.pop(LINK, None):
            # HTML knows no name spaces.
            element.set("href", f"#{name}-{target[1:]}")
        for key, value in element.attrib.items():
            element.set(key, _page_value(name, key, value))
    root.set("role", "group")
    root.set("aria-label", alternative)
    return ElementTree.tostring(root, encoding="unicode")


def _say(element: ElementTree.Element, text: str) -> None:
    element.set("class", "tip")
    element.set("role", "img")
    label = ElementTree.Element(f"{{{SVG}}}title")
    label.text = text
    element.insert(0, label)


def _page_value(name: str, key: str, value: str) -> str:
    """Return an attribute with the page's ids and colours, and no digits that nobody sees."""
    if key in PLACED:
        return " ".join(re.sub(r"(\.\d\d)\d+", r"\1", value).split())
    if key in PAINTED:
        for variable, colour in COLOURS.items():
            value = value.replace(colour, f"var(--{variable})")
        value = value.replace(FONT, FALLBACK)
    return value.replace("url(#", f"url(#{name}-")


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == LINK:
                yield value[1:]
            elif "url(#" in value:
                yield value.partition("url(#")[2].partition(")")[0]
