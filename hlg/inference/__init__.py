"""Use a checkpoint: evaluate, predict, export."""
