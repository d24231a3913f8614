"""``python -m hlg.train`` with the narrow network."""

from hlg.signals import run_main
from hlg.train import main
from tests.support.narrow import make_narrow, when_stoppable

if __name__ == "__main__":
    when_stoppable(make_narrow)
    run_main(main)
