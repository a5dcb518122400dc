"""`python -m hw2` is the command line."""

import signal
import sys

from hw2.cli import main

# as Ctrl-C, leaves no temporary folder behind
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
sys.exit(main())
