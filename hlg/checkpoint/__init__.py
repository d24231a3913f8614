"""Save, find, verify and resume from checkpoints."""
