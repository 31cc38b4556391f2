"""``python -m crosswire`` is the program ``crosswire``."""

from __future__ import annotations

import sys

from crosswire.cli.main import main

sys.exit(main())
