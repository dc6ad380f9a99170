"""`python -m flask_example`: serve the example until Ctrl-C."""

import sys

from .launcher import main

if __name__ == "__main__":
    sys.exit(main())
