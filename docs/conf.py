"""The documentation site: guides, the tables beside this file, every command and module as they describe themselves."""

from pathlib import Path
from typing import Any

import typer.main
from sphinx.application import Sphinx
from typer.cli import get_docs_for_click

import clickpose
from clickpose.cli import app as commands

DOCS = Path(__file__).resolve().parent
REPOSITORY = DOCS.parent

project = "Click-Pose"
author = copyright = "The Click-Pose authors"
release = version = clickpose.__version__

extensions = [
    "myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon",
    "sphinx_copybutton",
]  # fmt: skip
exclude_patterns = ["_build", "api/*/modules.rst"]
nitpicky = False  # types of NumPy and torch live elsewhere; a missing page, heading or module is an error all the same

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.header",  # parts of the README files begin below their first level
    "ref.python",  # two classes of one name, each in its module
]

html_theme = "furo"
html_title = f"Click-Pose {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
copybutton_exclude = ".linenos, .gp, .go"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_mock_imports = ["bson", "fiftyone", "mongoengine", "pymongo"]  # an environment of their own
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

apidoc_separate_modules = False  # a page for each package: one for each module makes ten times the site
apidoc_module_first = True
apidoc_include_private = False
apidoc_modules = [
    {
        "path": "../models/clickpose",
        "destination": "api/models",
        "exclude_patterns": ["**/cli/**", "**/commands/**", "**/detector_export*"],
    },
    {
        "path": "../ml_backend/clickpose_labelstudio",
        "destination": "api/labelstudio",
        # these run in other programs' processes
        "exclude_patterns": ["**/launch/inside/**", "**/launch/command*", "**/ml_adapter*", "**/wsgi*", "**/commands*"],
    },
    {"path": "../plugins/clickpose_fiftyone", "destination": "api/fiftyone", "exclude_patterns": ["**/commands*"]},
]


def _tell_whole_sentences(command: Any) -> None:
    """Give commands a short help of their own: Click cuts the one that it makes after 45 characters."""
    for inner in getattr(command, "commands", {}).values():
        inner.short_help = (inner.help or "").strip().partition("\n\n")[0].replace("\n", " ")
        _tell_whole_sentences(inner)


def write_commands(_: Sphinx) -> None:
    """Write commands.md: what every command says of itself with ``--help``."""
    command = typer.main.get_command(commands)
    _tell_whole_sentences(command)
    context = command.make_context("clickpose", [], resilient_parsing=True)
    text = get_docs_for_click(obj=command, ctx=context, name="clickpose", title="Commands")
    (DOCS / "commands.md").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", write_commands, priority=100)
