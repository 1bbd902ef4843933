"""``python -m ottava`` is the command line."""

import sys

from ottava.cli import main

sys.exit(main())
