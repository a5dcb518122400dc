"""Tests compute anew: what a render has kept is not taken for a result of today."""

import os

os.environ["HW2_KEEP"] = "0"
