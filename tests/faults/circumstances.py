"""When and where a run is made, for the page that shows it."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import tomllib

from crosswire.cluster.redis.embedded.database import find_server
from tests.faults.programs import ROOT


def today() -> str:
    """Return the date, in UTC."""
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def machine() -> dict[str, str]:
    """Return the versions in use, and what the machine has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "Crosswire": project["version"],
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Redis": " ".join(version.split()[:3]),
        "cores, for all processes together": str(os.cpu_count()),
    }
