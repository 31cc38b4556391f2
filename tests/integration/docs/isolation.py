"""A network, a process table and a list of hosts for one page alone.

So its code runs as it is written, with its ports and addresses, beside anything else on the machine.
"""

from __future__ import annotations

import fcntl
import shutil
import socket
import struct
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

HOSTS = ("example.com", "chat.example.com")
"""Names that lead to this machine."""
_LOOPBACK_ADDRESSES = (("lo:1", "10.0.0.1", "255.0.0.0"),)
"""Interface, address and mask: all addresses of a network on the loopback interface are this machine's."""

_NETWORK = ("unshare", "--net", "--mount")
_USER = ("--map-root-user",)
"""Options for all who are not root."""
_PROCESSES = ("--pid", "--fork", "--kill-child", "--mount-proc")
"""Options for a process table, whose processes end with the first; some containers refuse them."""
_WAYS = (
    (*_NETWORK, *_USER, *_PROCESSES),
    (*_NETWORK, *_PROCESSES),
    (*_NETWORK, *_USER),
    _NETWORK,
)
"""Commands to isolate another one, the best first."""
_SET_FLAGS, _SET_ADDRESS, _SET_MASK = 0x8914, 0x8916, 0x891C  # SIOCSIFFLAGS and the like, of linux/sockios.h
_UP = 1


def obstacle() -> str | None:
    """Return why this machine can't isolate a page, or None."""
    if shutil.which(_NETWORK[0]) is None:
        return "there is no `unshare`, which is part of util-linux"
    return None if _way() else "`unshare` is not permitted"


def isolated(command: Sequence[str]) -> list[str]:
    """Return a command that runs another one in isolation; it must call :func:`set_up`."""
    return [*_way(), *command]


@cache
def _way() -> Sequence[str]:
    """Return the first of ``_WAYS`` that works here, or an empty one."""
    works = (way for way in _WAYS if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0)
    return next(works, ())


def set_up(directory: Path) -> None:
    """Bring the loopback interface up, with the addresses and the hosts of the documentation.

    Args:
        directory: for the list of hosts.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH22x", b"lo", _UP))
        for interface, address, mask in _LOOPBACK_ADDRESSES:
            for request, value in ((_SET_ADDRESS, address), (_SET_MASK, mask)):
                where = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(control, request, struct.pack("16s16s8x", interface.encode(), where))
    hosts = directory / "hosts"
    hosts.write_text("127.0.0.1 localhost\n::1 localhost\n" + "".join(f"127.0.0.1 {name}\n" for name in HOSTS))
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)  # Unix sockets are there
