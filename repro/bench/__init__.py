"""Measure programs and commits by turns."""
