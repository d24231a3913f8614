"""Read what a run wrote: folders, logs, metrics, seals."""
