"""What a checkpoint is used for: evaluation, prediction, export."""
