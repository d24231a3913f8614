"""Run a program with the narrow network; a process that it starts to check an export has it too."""

import runpy
import sys

from tests.support.narrow import make_narrow, when_stoppable


def _prepare() -> None:
    from hlg.bench import run
    from hlg.inference import export

    make_narrow()
    run.PRODUCT = 64
    export.EXPORTED = (__spec__.parent, *export.EXPORTED)


if __name__ == "__main__":
    sys.argv.pop(0)
    if sys.argv[0] == "hlg.run_exported":
        make_narrow()
    else:
        when_stoppable(_prepare)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
