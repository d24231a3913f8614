"""Run a program with the narrow network; a process that it starts to check an export has it too."""

import runpy
import sys

from hlg.bench import run
from hlg.inference import export
from tests.support.narrow import narrow

if __name__ == "__main__":
    narrow()
    run.PRODUCT = 64
    export.EXPORTED = (__spec__.parent, *export.EXPORTED)
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
