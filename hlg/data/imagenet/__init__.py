"""Unpack ImageNet into class folders, and verify them."""
