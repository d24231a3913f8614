"""``python -m hlg.eval`` with the narrow network."""

import sys

from hlg import eval as evaluation
from tests.support.narrow import narrow

if __name__ == "__main__":
    narrow()
    sys.exit(evaluation.main())
