"""``python -m hlg.train`` with the narrow network."""

import sys

from hlg import train
from tests.support.narrow import narrow

if __name__ == "__main__":
    narrow()
    sys.exit(train.main())
