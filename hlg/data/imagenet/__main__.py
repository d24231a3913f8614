"""The program ``python -m hlg.data.imagenet``."""

import sys

from hlg.data.imagenet.unpack import main

if __name__ == "__main__":
    sys.exit(main())
