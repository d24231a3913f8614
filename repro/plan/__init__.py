"""Predict how long a training takes on how many cards, and what limits it: `make plan`."""
