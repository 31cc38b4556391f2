"""Makes room in the kernel's table of this process's file descriptors before connections need it."""

from __future__ import annotations

import errno
import os
import sys

if sys.platform == "linux":
    import fcntl

ROOM = 16 * 1024
"""Descriptors that there is room for at once; the kernel needs 128 KiB for them. Beyond, the table grows as usual."""


def enlarge_descriptor_table(descriptor: int) -> None:
    """Let the table of descriptors grow to :data:`ROOM`, or to the limit of the process (``ulimit -n``).

    Linux doubles the table whenever it is full. In a process with several threads, as a server is once it has looked up
    a name, it then waits until no processor uses the old table, some 10 ms in which the event loop stands still in
    ``accept``. While 5,000 clients connected that was seven times, and a quarter of the time.

    Args:
        descriptor: any that is open. It gets a second number for a moment, the last one that there is room for.
    """
    if sys.platform != "linux":
        return
    limit = os.sysconf("SC_OPEN_MAX")
    room = ROOM if limit < 0 else min(ROOM, limit)  # below 0: there is none
    try:
        os.close(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, room - 1))
    except OSError as error:
        if error.errno != errno.EMFILE:  # that number is in use, so the table is large enough
            raise
