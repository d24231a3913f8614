"""What the authors' code reached beside ours, and the verdict on both, as `make reproduce` keeps them."""
