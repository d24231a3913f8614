"""The program ``python -m hlg.fingerprint``."""

import sys

from hlg.fingerprint.checks import main

if __name__ == "__main__":
    sys.exit(main())
