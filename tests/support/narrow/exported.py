"""``python -m hlg.run_exported`` with the narrow network."""

import sys

from hlg import run_exported
from tests.support.narrow import narrow

if __name__ == "__main__":
    narrow()
    sys.exit(run_exported.main(sys.argv[1:]))
