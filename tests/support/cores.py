"""Give each worker of pytest-xdist cores of its own, and so all processes that its tests start.

MindSpore's threads spin while they wait for each other. On cores that another worker's threads share they spin in vain:
a small training took half as much again of a CPU as on one core of its own.
"""

import os


def share_cores() -> None:
    """Keep this process, if it is a worker, on its share of the cores that it may use, or on one of them."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        cores, number = sorted(os.sched_getaffinity(0)), int(worker.removeprefix("gw"))
        share = cores[number :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]
        os.sched_setaffinity(0, share or [cores[number % len(cores)]])


share_cores()  # as it is imported, for libraries count the cores as they are loaded
