"""Is this machine fit for a long run? Standard library only, Python 3.8 or newer: nothing is installed yet."""
