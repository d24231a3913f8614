"""``python -m hlg.predict`` with the narrow network."""

import sys

from hlg import predict
from tests.support.narrow import narrow

if __name__ == "__main__":
    narrow()
    sys.exit(predict.main())
