"""``python -m hlg.exported`` with the narrow network."""

import sys

from hlg import exported
from tests.narrow import narrow

if __name__ == "__main__":
    narrow()
    sys.exit(exported.main(sys.argv[1:]))
