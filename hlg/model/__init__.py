"""The network, and what trains it: losses, optimizer, schedule."""
