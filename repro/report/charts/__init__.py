"""Draw charts of training runs, for the page and as files."""
