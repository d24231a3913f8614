"""The network and what trains it: layers, loss, optimizer, schedule."""
