"""Sphinx configuration. Nothing is fetched while building."""

import greenbench

project = "greenbench"
author = "The greenbench developers"
project_copyright = author
version = release = greenbench.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_click",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"greenbench {release}"
html_show_sourcelink = False

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
