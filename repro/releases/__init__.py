"""Releases: measure each release of MindSpore on one machine, keep a file of each, and compare them."""
