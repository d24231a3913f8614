"""Measure a device; measure programs and commits by turns."""
