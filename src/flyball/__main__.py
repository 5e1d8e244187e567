"""`python -m flyball` is the `flyball` command."""

import sys

from flyball.doors.cli.main import main

sys.exit(main())
