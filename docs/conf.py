"""The documentation site: `make docs` builds it into build/docs. What is made from code comes from tools/site."""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import isotp  # noqa: E402
from tools.site import api, made  # noqa: E402

made.write(ROOT / "docs" / "_made")

project = "isotp"
author = "The isotp developers"
project_copyright = author
version = release = isotp.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_made"]
default_role = "py:obj"  # single backticks in docstrings: code, and a link where the name is documented
nitpicky = True
smartquotes = False  # -- and quotes in options and code stay what they are
nitpick_ignore_regex = [
    ("py:.*", r"(?!isotp\.).*"),  # what is not ours
    ("py:obj", r".*[^\w.].*"),  # more than a name
]
highlight_language = "none"  # blocks without a language are shell lines and output

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = f"isotp {version}"
html_static_path = ["_static", "_made/drawings.css"]
html_css_files = ["site.css", "drawings.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def setup(app: Any) -> None:
    """Put drawings in the place of their texts, and let names lead to where they are documented."""
    app.connect("autodoc-process-docstring", api.mark_code, priority=100)  # before napoleon
    app.connect("source-read", made.replace_drawings)
    app.connect("missing-reference", api.resolve)
