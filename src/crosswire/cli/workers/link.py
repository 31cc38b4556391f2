"""What a supervisor and a worker tell each other, and the worker's end of the socket between them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from contextlib import suppress

import msgspec

logger = logging.getLogger("crosswire.serve")

_GRACE = 5.0
"""Seconds that a worker has to end well once its supervisor is gone."""


class Assignment(msgspec.Struct, frozen=True):
    """What a worker is to do.

    Attributes:
        target: ``module:attribute`` of the server.
        number: of the worker, from 1 on.
        workers: how many there are.
        name: what the workers are called, without their numbers; None for the server's own name.
        host: to listen on; None for the server's own.
        port: to listen on; None for the server's own.
        redis: URLs; none for the server's own.
        prefix: of the channels; None for the server's own.
        shares_port: whether other processes hold the port too.
        drain: seconds.
    """

    target: str
    number: int = 1
    workers: int = 1
    name: str | None = None
    host: str | None = None
    port: int | None = None
    redis: tuple[str, ...] = ()
    prefix: str | None = None
    shares_port: bool = False
    drain: float = 10


class Begun(msgspec.Struct, frozen=True, tag=True):
    """A worker is there, and answers signals."""


class Listening(msgspec.Struct, frozen=True, tag=True):
    """A worker accepts connections."""

    name: str
    port: int


class StartRefused(msgspec.Struct, frozen=True, tag=True):
    """A worker ends because it can't work as it was told to; trying again would be the same."""

    text: str
    exit_code: int


Report = Begun | Listening | StartRefused


def packed(message: Assignment | Report) -> bytes:
    """A message as the line that goes over the socket."""
    return msgspec.json.encode(message) + b"\n"


def read_report(line: bytes) -> Report:
    """What a worker said in a line."""
    report: Report = msgspec.json.decode(line, type=Report)
    return report


class WorkerLink:
    """A worker's end. The supervisor's end closes with its process, however that ends.

    Args:
        descriptor: of the socket, inherited.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)  # what the application starts has nothing to do with it
        self._lines = self._socket.makefile("rb")

    def assignment(self) -> Assignment:
        """Wait for what is to be done."""
        return msgspec.json.decode(self._lines.readline(), type=Assignment)

    def report(self, report: Report) -> None:
        """Tell the supervisor."""
        with suppress(ConnectionError):  # it is gone, and the other thread is about to end this process
            self._socket.sendall(packed(report))

    def end_with_supervisor(self) -> None:
        """From now on, end this process when the supervisor is gone, also while its event loop is busy or not there."""
        threading.Thread(target=self._follow, name="crosswire supervisor's end", daemon=True).start()

    def _follow(self) -> None:
        self._lines.read()  # nothing comes any more but the end
        logger.warning("the supervisor is gone, so this worker stops")
        # At once, without a drain: whoever starts the supervisor again needs the names.
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_GRACE)
        os._exit(1)
