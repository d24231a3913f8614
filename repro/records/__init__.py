"""Read what a run wrote down: folders, logs, metrics, seals."""
