"""The CPU time and the memory of processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

_CPU_CLOCK = 2
"""The kind of clock in the id of a process' clock that counts the time for which it had a core."""


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has used, to the nanosecond."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def memory_of(pid: int) -> int:
    """Return the bytes of memory that a process has."""
    resident = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(resident) * os.sysconf("SC_PAGE_SIZE")
