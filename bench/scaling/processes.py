"""The CPU time of processes."""

from __future__ import annotations

import time

_CPU_CLOCK = 2
"""The kind of clock in the id of a process' clock that counts the time for which it had a core."""


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has used, to the nanosecond."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)
