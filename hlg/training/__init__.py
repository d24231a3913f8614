"""The training step, the loop and the evaluation."""
