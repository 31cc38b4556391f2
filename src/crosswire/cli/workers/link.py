"""Messages between a supervisor and a worker, and the worker's end of the socket between them."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress

import msgspec

from crosswire.runtime.log_records import get_logger
from crosswire.transport.tls_files import Tls

logger = get_logger("crosswire.serve")

ORPHAN_TIMEOUT = 5.0
"""Seconds that a worker has to stop when its supervisor is gone; then it exits."""


class TlsPaths(msgspec.Struct, frozen=True):
    """Absolute paths of the files of a certificate; see :class:`crosswire.Tls`.

    Attributes:
        certificate: the certificate with its chain.
        key: its private key; None if it is in the same file.
        client_ca: the authorities of clients' certificates; None if clients need none.
    """

    certificate: str
    key: str | None = None
    client_ca: str | None = None

    def load(self) -> Tls:
        """Return the files as an option of a server.

        Raises:
            ConfigError: they can't be used.
        """
        return Tls(self.certificate, self.key, client_ca=self.client_ca)


class Assignment(msgspec.Struct, frozen=True):
    """Configuration of a worker, sent by its supervisor.

    Attributes:
        target: ``module:attribute`` of the server.
        app: ``module:attribute`` of the ASGI application on its port; None for the server's own, if it has one.
        number: number of the worker, from 1 on.
        workers: number of all workers.
        name: name of the workers, without their numbers; None for the server's own.
        host: address to listen on; None for the server's own.
        port: port to listen on; None for the server's own.
        redis: URLs of the Redis; none for the server's own.
        prefix: prefix of the channels; None for the server's own.
        shares_port: whether other processes listen on the port too.
        drain: seconds that a stop after SIGTERM may take.
        metrics_directory: where all workers write their metrics; None for a single one.
        prepare: ``module:function`` to call before the server is imported; None for none.
        tls: files of the certificate; None for the server's own.
    """

    target: str
    app: str | None = None
    number: int = 1
    workers: int = 1
    name: str | None = None
    host: str | None = None
    port: int | None = None
    redis: tuple[str, ...] = ()
    prefix: str | None = None
    shares_port: bool = False
    drain: float = 10
    metrics_directory: str | None = None
    prepare: str | None = None
    tls: TlsPaths | None = None


class Started(msgspec.Struct, frozen=True, tag=True):
    """Report of a worker that its process runs and handles signals."""


class Listening(msgspec.Struct, frozen=True, tag=True):
    """Report of a worker that it accepts connections.

    Attributes:
        name: of its node.
        port: that it listens on.
        reloads: whether it loads its certificate again at a SIGHUP.
    """

    name: str
    port: int
    reloads: bool = False


class StartRefused(msgspec.Struct, frozen=True, tag=True):
    """Report of a worker that its configuration does not work; another start would fail too."""

    text: str
    exit_code: int


Report = Started | Listening | StartRefused


def packed(message: Assignment | Report) -> bytes:
    """Encode a message as a line for the socket."""
    return msgspec.json.encode(message) + b"\n"


def read_report(line: bytes) -> Report:
    """Decode a report of a worker from a line."""
    report: Report = msgspec.json.decode(line, type=Report)
    return report


class WorkerLink:
    """A worker's end of the socket. The supervisor's end is closed when its process ends, however that happens.

    Args:
        descriptor: file descriptor of the socket, inherited.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)  # processes that the application starts must not have it
        self._lines = self._socket.makefile("rb")

    def assignment(self) -> Assignment:
        """Wait for the assignment, and return it."""
        return msgspec.json.decode(self._lines.readline(), type=Assignment)

    def report(self, report: Report) -> None:
        """Send a report to the supervisor."""
        with suppress(ConnectionError):  # it is gone, and the other thread is about to end this process
            self._socket.sendall(packed(report))

    def end_with_supervisor(self) -> None:
        """End this process as soon as the supervisor is gone, even if its event loop is held or does not run."""
        threading.Thread(target=self._wait_for_end, name="crosswire supervisor's end", daemon=True).start()

    def _wait_for_end(self) -> None:
        self._lines.read()  # returns when the socket is closed: the supervisor sends nothing else
        logger.warning("the supervisor is gone, so this worker stops")
        # At once, without a drain: the names are needed when the supervisor is started again.
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(ORPHAN_TIMEOUT)
        os._exit(1)
