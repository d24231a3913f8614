"""``python -m hlg.bench`` with the narrow network."""

import sys

from hlg import bench
from tests.support.narrow import narrow

if __name__ == "__main__":
    narrow()
    sys.exit(bench.main())
