"""The program ``python -m hlg.launch``."""

import sys

from hlg.launch.placement import main

if __name__ == "__main__":
    sys.exit(main())
