"""The memory that messages of a client take while handlers are at work on them, and the limit on it."""

from __future__ import annotations

import asyncio
import sys

from crosswire.core.codecs import Codec
from crosswire.core.limits import Limits
from crosswire.core.payload_weights import message_weight
from crosswire.errors import EventError
from crosswire.runtime.contexts import ContextFactory
from crosswire.server.running_handlers import RunningHandlers

SMALL_MESSAGE = 512
"""Bytes of a message up to which its weight does not matter while few handlers are at work."""
FEW_HANDLERS = 8
"""Number of handlers of a connection from which on every message is weighed."""
QUICKLY_DECODED = 32 * 1024
"""Bytes of a message that is decoded in less than a fair turn of the event loop, whatever it holds."""
AT_WORK_SHARE = 3 / 8
"""Share of ``Limits.held`` up to which more messages are given to handlers, and the client is read.

So there is room for another of the largest messages, which may be arriving.
"""
CALLED_SHARE = 1 / 2
"""Share of ``Limits.held`` up to which the client is read while its answer to a call is awaited."""
_SLOWNESS = {False: 12, True: 4}
"""Multiple of ``Limits.max_message`` that a message may weigh for a plain handler; MessagePack is decoded twice."""


class HeldLimits:
    """The limits on what messages of one client may take.

    Args:
        limits: the server's.

    Attributes:
        all: bytes of all messages of a client together.
        at_work: bytes up to which another message is given to handlers, and the client is read.
        called: the same while an answer of the client is awaited, which may be behind other messages.
    """

    __slots__ = ("_max_message", "all", "at_work", "called")

    def __init__(self, limits: Limits) -> None:
        self._max_message = limits.max_message
        self.all = limits.held_bytes
        self.at_work = int(self.all * AT_WORK_SHARE)
        self.called = int(self.all * CALLED_SHARE)

    def quickly_decoded(self, codec: Codec) -> int:
        """Return the weight up to which a message may be decoded in one turn of the event loop."""
        return self._max_message * _SLOWNESS[codec.binary]


class HeldMessage:
    """Count of the handlers of one connection, for one message: while its handlers are at work, its bytes count too.

    Takes the place of :class:`~crosswire.server.running_handlers.RunningHandlers` for messages that are not small.

    Args:
        handlers: of the connection.
        codec: decodes the message.
        data: the message.
        limit: bytes that the message may weigh; no handler is started for more.
        kept: whether handlers keep the message itself besides its decoded data.
    """

    __slots__ = ("_codec", "_data", "_handlers", "_kept", "_limit", "_weight")

    def __init__(
        self, handlers: RunningHandlers, codec: Codec, data: str | bytes, limit: int, *, kept: bool = False
    ) -> None:
        self._handlers = handlers
        self._codec = codec
        self._data: str | bytes | None = data
        self._limit = limit
        self._kept = kept
        self._weight = 0

    @property
    def copy_context(self) -> ContextFactory:
        """Function that returns a fresh context for the handlers of one event."""
        return self._handlers.copy_context

    @property
    def weight(self) -> int:
        """Bytes that the message takes; it is weighed when this is asked for the first time."""
        if self._data is not None:
            self._weight = message_weight(self._data, self._limit, msgpack=self._codec.binary)
            if self._kept:
                self._weight += text_size(self._data)
            self._data = None
        return self._weight

    @property
    def running(self) -> int:
        """Number of handlers at work; more than any limit if the message is too heavy for one."""
        return self._handlers.running if self.weight <= self._limit else sys.maxsize

    @running.setter
    def running(self, number: int) -> None:
        self._handlers.held += self._weight
        self._handlers.running = number

    def job_ended(self, task: asyncio.Task[None] | None) -> None:
        """Count the handlers of the message as ended."""
        self._handlers.held -= self._weight
        self._handlers.job_ended(task)

    def job_dropped(self) -> None:
        """Count the handlers of the message as ended, which were not begun."""
        self.job_ended(None)

    def task_waits(self, task: asyncio.Task[None]) -> None:
        """Note the task of a handler that waits."""
        self._handlers.task_waits(task)


def text_size(data: str | bytes) -> int:
    """Return the bytes that a message takes as it is: a str one, two or four for each character, and its UTF-8."""
    size = sys.getsizeof(data)
    return size if isinstance(data, bytes) or data.isascii() else size + len(data.encode())


def too_large() -> EventError:
    """Return the refusal of a message that is too heavy."""
    return EventError("TOO_LARGE", "decoded, the data would take more memory than the messages of a client may")
