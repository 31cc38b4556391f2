"""The connection that publishes on a Redis. It is pipelined, and keeps the messages that are not acknowledged yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

import hiredis

from crosswire.cluster.redis.link import Link, Lost, RedisConnection
from crosswire.cluster.send_buffer import Budget

_UNUSABLE = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS")
"""The beginnings of errors of a Redis that can't be used now for any command."""


class PlainPublish:
    """A PUBLISH that is not sent again when it is lost: it has no number, so receivers could not drop a duplicate."""

    __slots__ = ("command",)

    def __init__(self, command: bytes) -> None:
        self.command = command


class RedundantPublish:
    """A PUBLISH that is sent to several Redis.

    Attributes:
        command: the encoded command.
        copies: the number of Redis that have acknowledged it, or may still do so.
        again: whether it is sent again when ``copies`` is 0.
    """

    __slots__ = ("again", "command", "copies")

    def __init__(self, command: bytes, copies: int, *, again: bool) -> None:
        self.command = command
        self.copies = copies
        self.again = again


class AwaitedCommand:
    """A command whose reply is awaited."""

    __slots__ = ("reply",)

    def __init__(self, reply: asyncio.Future[Any]) -> None:
        self.reply = reply

    def answer(self, reply: Any) -> None:
        """Set the reply, unless the waiting was cancelled."""
        if not self.reply.done():
            self.reply.set_result(reply)


Message = bytes | RedundantPublish | PlainPublish
"""A message to publish. Bytes are a PUBLISH that is sent to one Redis, and to another if it gets lost."""


def command_of(message: Message) -> bytes:
    """Return the PUBLISH of a message."""
    return message if isinstance(message, bytes) else message.command


def size_of(message: Message) -> int:
    """Return the bytes that a message took from the budget."""
    return len(command_of(message))


class PublisherEvents(Protocol):
    """Callbacks for messages that a Redis refuses."""

    def publish_refused(self, message: Message, error: str) -> None:
        """Handle a message that the Redis refused to publish, and would refuse again."""


class Publisher:
    """Publishes on one Redis, over one connection after the other.

    Args:
        budget: gets back the bytes of messages that are acknowledged.
        events: called when a message is refused.

    Attributes:
        connection: the connection, which may be lost and opened again.
        wait_for_reply: takes a command that is about to be written; see :meth:`publish`.
        write: writes a command. The connection must be open.
    """

    __slots__ = ("_budget", "_events", "_popleft", "_waiting", "connection", "wait_for_reply", "write")

    def __init__(self, budget: Budget, events: PublisherEvents) -> None:
        # Replies come in the order of the commands: a reply belongs to the first command that waits.
        self._waiting: deque[Message | AwaitedCommand] = deque()
        self.wait_for_reply = self._waiting.append
        self._popleft = self._waiting.popleft
        self._budget = budget
        self._events = events
        self.connection = RedisConnection()

    def attach(self, link: Link, lost: Lost) -> None:
        """Publish over a new connection.

        Raises:
            Unreachable: the connection is lost already.
        """
        link.listen(self.take, lost)
        self.connection.link = link
        self.write = link.send

    def detach(self) -> list[Message]:
        """Forget a lost connection. Return the messages that were not acknowledged, in their order."""
        self.connection.link = None
        waiting = list(self._waiting)
        self._waiting.clear()
        for entry in waiting:
            if isinstance(entry, AwaitedCommand):
                entry.answer(None)
        return [entry for entry in waiting if not isinstance(entry, AwaitedCommand)]

    def publish(self, command: bytes) -> None:
        """Send a PUBLISH, whose bytes have been taken from the budget. The connection must be open."""
        self.wait_for_reply(command)
        self.write(command)

    def publish_as(self, message: RedundantPublish | PlainPublish) -> None:
        """Send a PUBLISH with more attributes than its bytes. The connection must be open."""
        self.wait_for_reply(message)
        self.write(message.command)

    def ask(self, command: bytes) -> asyncio.Future[Any]:
        """Send any command. The result of the future is the reply, or None if the connection is lost."""
        entry = AwaitedCommand(asyncio.get_running_loop().create_future())
        if not self.connection.connected:
            entry.answer(None)
        else:
            self.wait_for_reply(entry)
            self.write(command)
        return entry.reply

    def take(self, reply: Any) -> None:
        """Take the reply to the first command that waits for one."""
        try:
            entry = self._popleft()
        except IndexError:
            self.connection.drop("it sent an unexpected reply")
            return
        if type(entry) is bytes and type(reply) is int:
            self._budget.free += len(entry)
        else:
            self._settle(entry, reply)

    def _settle(self, entry: Message | AwaitedCommand, reply: Any) -> None:
        if isinstance(entry, AwaitedCommand):
            entry.answer(reply)
        elif not isinstance(reply, hiredis.ReplyError):
            self._budget.free += size_of(entry)
        elif str(reply).startswith(_UNUSABLE):
            self._waiting.appendleft(entry)  # as not acknowledged: the pool publishes it on another Redis
            self.connection.drop(str(reply))
        else:
            self._budget.free += size_of(entry)
            self._events.publish_refused(entry, str(reply))
