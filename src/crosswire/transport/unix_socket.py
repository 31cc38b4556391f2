"""Unix sockets to listen on: where, with which mode, and whether somebody is there."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass

from crosswire.errors import ConfigError

UNIX_PREFIX = "unix:"
_LONGEST_PATH = 103  # bytes that fit on every system: 108 on Linux, 104 elsewhere, with the 0 at the end
_MODE = re.compile(r"0?[0-7]{3}")


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A place in the file system.

    Attributes:
        path: absolute.
        mode: of the file, or None for what the process' umask leaves.
    """

    path: str
    mode: int | None = None

    @staticmethod
    def parse(host: str) -> UnixSocket:
        """Read ``unix:/path``, or ``unix:/path?mode=660``.

        Raises:
            ConfigError: it is no such address.
        """
        path, mark, options = host.removeprefix(UNIX_PREFIX).partition("?")
        if not path.startswith("/") or path.endswith("/") or not path.isprintable():
            raise ConfigError(f"host={host!r}: give the absolute path of a file: 'unix:/run/app.sock'")
        path = "/" + path.lstrip("/")
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise ConfigError(f"host={host!r}: the path of a Unix socket has at most {_LONGEST_PATH} bytes")
        if not mark:
            return UnixSocket(path)
        name, _, mode = options.partition("=")
        if name != "mode" or not _MODE.fullmatch(mode):
            raise ConfigError(f"host={host!r}: the one option is ?mode= with an octal number such as 660")
        return UnixSocket(path, int(mode, 8))

    async def is_served(self) -> bool:
        """Whether a process listens there; a file may be left of one that does not any more."""
        try:
            _, writer = await asyncio.open_unix_connection(self.path)
        except OSError:
            return False
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True

    def identity(self) -> tuple[int, int] | None:
        """What tells the file from another of the same name; None if there is no socket."""
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None

    def apply_mode(self) -> None:
        """Set the file's mode; nobody can connect before, as nobody listens yet."""
        if self.mode is not None:
            os.chmod(self.path, self.mode)

    def remove(self, identity: tuple[int, int] | None) -> None:
        """Remove the file, if it is still the one meant: another process may have taken the place."""
        if identity is not None and self.identity() == identity:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
