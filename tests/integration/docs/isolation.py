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

_UNSHARE = ("unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_SET_FLAGS, _SET_ADDRESS, _SET_MASK = 0x8914, 0x8916, 0x891C  # SIOCSIFFLAGS and the like, of linux/sockios.h
_UP = 1


@cache
def obstacle() -> str | None:
    """Return why this machine can't isolate a page, or None."""
    if shutil.which(_UNSHARE[0]) is None:
        return "there is no `unshare`, which is part of util-linux"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() or None if tried.returncode else None


def isolated(command: Sequence[str]) -> list[str]:
    """Return a command that runs another one in isolation; it must call :func:`set_up`."""
    return [*_UNSHARE, *command]


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
