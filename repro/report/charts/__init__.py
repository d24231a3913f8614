"""Charts of training runs, as SVG for the page and as files."""
