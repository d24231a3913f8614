"""Compare run folders with each other: what differs, where their numbers part, and what that can come from."""
