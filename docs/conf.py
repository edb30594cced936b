"""The documentation site, by Sphinx: `make site`.

Pages are read where they lie in the repository, so a link that works there works on the site. The pages of
the API reference are written into docs/routes first.
"""

import logging
import sys
from pathlib import Path

from sphinx.application import Sphinx

import ecurie

DOCS = Path(__file__).parent
ROUTES = DOCS / "routes"
sys.path.insert(0, str(DOCS))

import openapi  # noqa: E402
import reference  # noqa: E402

project = html_title = "Écurie"
release = ecurie.__version__
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/routes/*.md", "bench/*.md", "demo/*.md", "examples/*.md"]
# Folders that need no look into.
exclude_patterns = [".*", "build", "deploy", "dist", "scripts", "src", "tests"]

# As code hosts do, for links such as api.md#pictures.
myst_heading_anchors = 4

html_theme = "furo"
html_copy_source = False


def write_reference(app: Sphinx) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    ROUTES.mkdir(exist_ok=True)
    written = {ROUTES / f"{name}.md": text for name, text in reference.pages(openapi.description()).items()}
    for gone in set(ROUTES.glob("*.md")) - set(written):
        gone.unlink()
    for file, text in written.items():
        file.write_text(text + "\n")


def write_entrance(app: Sphinx, error: Exception | None) -> None:
    """The pages lie below docs/; who opens the site's folder is led there."""
    (app.outdir / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>{project}</title>'
        '<meta http-equiv="refresh" content="0; url=docs/index.html"><a href="docs/index.html">docs</a>\n'
    )


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", write_reference)
    app.connect("build-finished", write_entrance)
