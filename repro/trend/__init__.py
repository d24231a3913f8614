"""Say at which commit a kept measurement moved: `make trend`."""
