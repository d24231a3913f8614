"""Run on a device: ranks, graph cache, fused kernels, profiler, watchdog."""
