"""The published figures as data, and how a run compares with them."""
