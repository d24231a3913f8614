"""Record a run: its folder, journal and environment. No MindSpore."""
