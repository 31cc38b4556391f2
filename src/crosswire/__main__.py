"""The program ``crosswire``, run as ``python -m crosswire``."""

from __future__ import annotations

import sys

from crosswire.cli.main import main

sys.exit(main())
