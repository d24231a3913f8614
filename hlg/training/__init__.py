"""The training step, the training loop and the evaluation."""
