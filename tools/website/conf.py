"""Settings of Sphinx for the docs site. `tools/website.py` prepares the pages."""

import lava_s3trigger

project = "lava s3trigger"
release = version = lava_s3trigger.__version__
copyright = ""  # noqa: A001 - the name is Sphinx's

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
# Anchors as GitHub makes them, since the pages are read there too.
myst_heading_anchors = 6
myst_links_external_new_tab = False

smartquotes = False  # what looks like an option stays one

html_theme = "furo"
html_title = f"{project} {version}"
html_show_sphinx = html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
# The pages have the commands of a shell, with placeholders, and shortened JSON.
suppress_warnings = ["misc.highlighting_failure"]
