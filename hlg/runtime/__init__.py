"""The device and the process: ranks, graph cache, fused kernels, signals, watchdog."""
