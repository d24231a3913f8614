"""HLG-Mobile on MindSpore: the model and its training.

Importing any part of the package comes before ``import mindspore``, so what MindSpore reads from the environment
while it loads is set here.
"""

import os
import signal
import sys


def _end(*_: object) -> None:
    program = sys.modules["__main__"].__spec__  # None as long as it is looked for
    if program and not program.name.startswith("hlg."):
        raise KeyboardInterrupt  # it is another one, and only imports this
    os.write(2, b"stopped by Ctrl-C before it began\n")
    os._exit(128 + signal.SIGINT)


# A program, of which `python -m` has not begun the imports: Ctrl-C would be an error of whatever is being imported.
# hlg.signals takes over.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end)

# The oneDNN inside MindSpore 2.10.0 has no fast kernel for plain-layout convolutions under AVX-512 and falls back
# to a reference loop (1557 ms instead of 15 ms for one 32x32x3x3 convolution on 8x112x112): cap it at AVX2.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")

# MindSpore warns about every Ascend and GPU library that a machine does not have: errors only, unless asked.
os.environ.setdefault("GLOG_v", "3")

# The threads of fused kernels (hlg.runtime.fused_kernels) sleep until their next turn: if they spin, they take the
# cores from oneDNN's threads, which cost a matrix product 1.5 ms of waiting here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
