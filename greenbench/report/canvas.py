"""Canvas: how figures look, and how they become SVG for a page and files for elsewhere.

A page may be light or dark, so the SVG inside it names colours by the page's variables; files
have the light ones. Equal figures give equal bytes.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

# Okabe and Ito's palette (2008), which people without full colour vision tell apart.
COLOURS = {
    "ink": "#1b1d1e",
    "muted": "#6b7175",
    "line": "#d3d7d9",
    "paper": "#fefefe",
    "series-1": "#0071b1",
    "series-2": "#c95800",
    "series-3": "#008f68",
    "series-4": "#b0568d",
    "series-5": "#8a6d00",
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
    ":",
)
SIZE_INCHES = (6.4, 4.0)
SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"

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
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "legend.frameon": False,
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
        canvas.drawing.suptitle(title, fontsize=11, x=0.01, ha="left", wrap=True)
        canvas.drawing.set_facecolor(COLOURS["paper"])
        return Figure(
            name, title, alternative, page, _saved(canvas, "svg"), _saved(canvas, "png", dpi=150)
        )


def _saved(canvas: Canvas, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    # Neither a date nor a version: equal figures are equal files.
    unsaid = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[form]
    canvas.drawing.savefig(stream, format=form, metadata=unsaid, **options)
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
    root.set("role", "group")
    root.set("aria-label", alternative)
    used = {*tips, *_references(root)}
    for element in root.iter():
        identity = element.attrib.pop("id", "")
        if identity in used:
            element.set("id", f"{name}-{identity}")
        if identity in tips:
            element.set("class", "tip")
            element.set("tabindex", "0")
            element.set("role", "img")
            label = ElementTree.Element(f"{{{SVG}}}title")
            label.text = tips[identity]
            element.insert(0, label)
        if target := element.attrib.pop(LINK, None):
            # HTML knows no name spaces.
            element.set("href", f"#{name}-{target[1:]}")
        for key, value in element.attrib.items():
            if "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
    page = ElementTree.tostring(root, encoding="unicode")
    for variable, colour in COLOURS.items():
        page = page.replace(colour, f"var(--{variable})")
    return page


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == LINK:
                yield value[1:]
            elif "url(#" in value:
                yield value.partition("url(#")[2].partition(")")[0]
