"""What a run writes down: its folder, journal and environment. No MindSpore."""
