"""Sphinx configuration: Markdown by MyST, the Furo theme, reference pages made from the code."""

import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

project = "Berth"
author = "The Berth developers"
copyright = "The Berth developers, Apache-2.0"
release = metadata.version("berth")
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated",
]
exclude_patterns = ["_build", "requirements.txt"]
source_suffix = {".md": "markdown"}
nitpicky = False
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"Berth {release}"
html_static_path: list[str] = []
html_show_copyright = False
html_theme_options = {"source_directory": "docs/"}
