"""Unix sockets to listen on: their path, mode and file."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass

from crosswire.errors import ConfigError

UNIX_PREFIX = "unix:"
MAX_PATH_SIZE = 103
"""Bytes of the longest path that fits on every system: 108 on Linux, 104 elsewhere, with the 0 at the end."""
_MODE = re.compile(r"0?[0-7]{3}")


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """Address of a Unix socket in the file system.

    Attributes:
        path: absolute.
        mode: of the file, or None for the default, which the umask of the process decides.
    """

    path: str
    mode: int | None = None

    @staticmethod
    def parse(host: str) -> UnixSocket:
        """Parse ``unix:/path``, or ``unix:/path?mode=660``.

        Raises:
            ConfigError: ``host`` is no such address.
        """
        path, mark, options = host.removeprefix(UNIX_PREFIX).partition("?")
        if not path.startswith("/") or path.endswith("/") or not path.isprintable():
            raise ConfigError(f"host={host!r}: give the absolute path of a file: 'unix:/run/app.sock'")
        path = "/" + path.lstrip("/")
        if len(os.fsencode(path)) > MAX_PATH_SIZE:
            raise ConfigError(f"host={host!r}: the path of a Unix socket has at most {MAX_PATH_SIZE} bytes")
        if not mark:
            return UnixSocket(path)
        name, _, mode = options.partition("=")
        if name != "mode" or not _MODE.fullmatch(mode):
            raise ConfigError(f"host={host!r}: the one option is ?mode= with an octal number such as 660")
        return UnixSocket(path, int(mode, 8))

    async def is_served(self) -> bool:
        """Return whether a process listens on the socket: the file may be left over from a process that has ended."""
        try:
            _, writer = await asyncio.open_unix_connection(self.path)
        except OSError:
            return False
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True

    def identity(self) -> tuple[int, int] | None:
        """Return device and inode of the file, which tell it from another of the same name; None if there is none."""
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None

    def apply_mode(self) -> None:
        """Set the mode of the file; no client can connect before that, as the socket does not listen yet."""
        if self.mode is not None:
            os.chmod(self.path, self.mode)

    def remove(self, identity: tuple[int, int] | None) -> None:
        """Remove the file, unless another process has put its own there."""
        if identity is not None and self.identity() == identity:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
