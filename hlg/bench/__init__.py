"""Measure the forward pass, the training step, the input or the evaluation on this machine."""
