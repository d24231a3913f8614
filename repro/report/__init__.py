"""Compare run folders with the published figures, for people and for programs: `make report`."""
