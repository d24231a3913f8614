"""Sizes of a training of the full network that several rooms need: parameters, memory, checkpoints, logs.

Standard library alone, in Python 3.8's syntax: doctor runs before anything is installed.
"""

# Parameters of the published network, counted in tests/hlg/model/test_network.py: in the file, and in the forward pass.
STORED_PARAMETERS, USED_PARAMETERS = 6_768_201, 6_147_657
# Host memory of each rank. Measured on a rank that trains the tiny recipe on a CPU with 14 workers: 3.7 GB at most.
RANK_MEMORY = 6_000_000_000
# Bytes of a checkpoint, measured: weights and two moments. The last two stay, the best one, three to keep
# (keep_checkpoint_max), and one more is there while it is written.
CHECKPOINT, CHECKPOINTS = 73_000_000, 7
STEP_RECORD = 200  # bytes of metrics.jsonl and log a step, measured on the kept run
