"""Start the ranks of a run on this machine and watch over them."""
