"""``python -m hlg.export`` with the narrow network; a file of weights is loaded into it too."""

import sys

from hlg import export
from tests.support.narrow import narrow

if __name__ == "__main__":
    narrow()
    export.EXPORTED = "tests.support.narrow.exported"
    sys.exit(export.main())
