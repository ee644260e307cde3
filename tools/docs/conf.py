"""How the documentation site is built: MyST pages, Furo's theme, nothing fetched from anywhere, by a browser or by the build."""

from __future__ import annotations

from typing import Final

project: Final = "Revline"
author: Final = "The Revline authors"
project_copyright: Final = "The Revline authors"
extensions: Final = ["myst_parser"]
myst_enable_extensions: Final = ["deflist"]
source_suffix: Final = {".md": "markdown"}
root_doc: Final = "index"
exclude_patterns: Final = ["tutorial/first-hour/*"]
myst_heading_anchors: Final = 4
myst_links_external_new_tab: Final = False
nitpicky: Final = True
# The lexer of shell sessions gives up on a quote that goes over two lines, as shells take it; the text is shown all the same.
suppress_warnings: Final = ["misc.highlighting_failure"]
html_theme: Final = "furo"
html_title: Final = "Revline"
html_copy_source: Final = False
html_show_sourcelink: Final = False
html_show_sphinx: Final = False
html_last_updated_fmt: Final = None
html_theme_options: Final = {"navigation_with_keys": True}
pygments_style: Final = "default"
pygments_dark_style: Final = "monokai"
