"""The program ``python -m hlg.data.tiny``."""

import sys

from hlg.data.tiny.make import main

if __name__ == "__main__":
    sys.exit(main())
