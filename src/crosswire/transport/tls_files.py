"""Certificates from files, loaded again when the files change."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosswire.errors import ConfigError
from crosswire.runtime.log_records import get_logger

POLL_INTERVAL = 2.0
"""Seconds after which files are looked at again."""

logger = get_logger("crosswire.tls")

_Path = str | os.PathLike[str]
_Stamp = tuple[tuple[int, int, int] | None, ...]
"""Inode, time of change and size of each file; None for one that can't be read."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate of a server, from files: ``Server(tls=Tls("fullchain.pem", "privkey.pem"))``.

    The files are loaded again within seconds after they change, also where a symbolic link is replaced (certbot,
    Kubernetes), and at a SIGHUP under ``server.run()`` and ``crosswire serve``. Open connections stay. If the new files
    can't be used, that is logged, and the old certificate stays in use. TLS is 1.2 or later.

    Args:
        certificate: path of the certificate in PEM, with its chain.
        key: path of its private key; None if it is in the same file.
        password: of the key, if it is encrypted.
        client_ca: path of the authorities, in PEM, whose certificates clients may show: see
            ``handshake.peer_certificate``. None: clients are not asked for one.
        client_required: whether a client without a certificate is refused; if not, ``authenticate`` decides.

    Raises:
        ConfigError: a file can't be read, the key does not belong to the certificate, or an option makes no sense.
    """

    certificate: _Path
    key: _Path | None = None
    password: str | None = field(default=None, repr=False)
    client_ca: _Path | None = None
    client_required: bool = True

    def __post_init__(self) -> None:
        for name in ("certificate", "key", "client_ca"):
            value: object = getattr(self, name)
            if not isinstance(value, str | os.PathLike) and (value is not None or name == "certificate"):
                raise ConfigError(f"Tls({name}={value!r}): give the path of a file in PEM")
        self.context()

    def context(self) -> ssl.SSLContext:
        """Load the files into a new context.

        Raises:
            ConfigError: they can't be used.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # With an empty password, OpenSSL does not ask for one at the terminal.
            context.load_cert_chain(self.certificate, self.key, self.password or "")
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED if self.client_required else ssl.CERT_OPTIONAL
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            names = ", ".join(str(path) for path in self.files())
            raise ConfigError(f"tls: {names} can't be used: {error}") from error
        return context

    def files(self) -> list[Path]:
        """List the files that it is loaded from."""
        return [Path(path) for path in (self.certificate, self.key, self.client_ca) if path is not None]


class ReloadedTls:
    """Context of a server whose certificate follows its files.

    New handshakes use the context that was loaded last. Each begins with the first one, which hands it over as soon as
    the client has said hello: so what is loaded is used as a whole, or not at all.

    Args:
        tls: the files.

    Attributes:
        context: for the listener.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._stamp = self._read_stamp()
        self._current = self.context = tls.context()
        self.context.sni_callback = self._use_current
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look at the files again and again from now on."""
        self._timer = asyncio.get_running_loop().call_later(POLL_INTERVAL, self._poll)

    def stop(self) -> None:
        """Look at the files no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reload(self) -> None:
        """Load the files; if they can't be used, go on with what was loaded before."""
        self._stamp = self._read_stamp()
        try:
            self._current = self._tls.context()
        except ConfigError as error:
            logger.error("%s; the certificate that was loaded before stays in use", error)  # noqa: TRY400 - no fault of ours
        else:
            logger.info("the certificate was loaded again from %s", self._tls.certificate)

    def _poll(self) -> None:
        self.start()
        if self._read_stamp() != self._stamp:
            self.reload()

    def _read_stamp(self) -> _Stamp:
        return tuple(_stamp_of(path) for path in self._tls.files())

    def _use_current(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        if self._current is not self.context:
            connection.context = self._current


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
