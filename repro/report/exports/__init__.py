"""Runs in the formats of other projects: one module a format, and what all of them are written with."""
