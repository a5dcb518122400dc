"""`python -m hw2` is the command line."""

import sys

from hw2.cli import main

sys.exit(main())
