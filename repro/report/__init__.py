"""Sets the run folders beside the published figures, for people and for programs: `python -m repro.report`."""
