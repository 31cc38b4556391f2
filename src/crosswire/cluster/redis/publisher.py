"""The connection to a Redis that publishes: pipelined, and knowing what was not acknowledged yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

import hiredis

from crosswire.cluster.redis.link import Line, Link, Lost
from crosswire.cluster.send_buffer import Budget

_UNFIT = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS")
"""How the refusals begin of a Redis that can't be used, whatever it is asked."""


class Plain:
    """A PUBLISH that is not done again when it is lost: it has no number, so nobody could tell it from its twin."""

    __slots__ = ("command",)

    def __init__(self, command: bytes) -> None:
        self.command = command


class RedundantPublish:
    """A PUBLISH that is done on several Redis.

    Attributes:
        command: its bytes.
        copies: on how many it was acknowledged or may still be.
        again: whether it is to be published again when no copy is left.
    """

    __slots__ = ("again", "command", "copies")

    def __init__(self, command: bytes, copies: int, *, again: bool) -> None:
        self.command = command
        self.copies = copies
        self.again = again


class AwaitedCommand:
    """A command whose reply somebody waits for."""

    __slots__ = ("reply",)

    def __init__(self, reply: asyncio.Future[Any]) -> None:
        self.reply = reply

    def answer(self, reply: Any) -> None:
        """Hand over the reply, unless nobody waits any more."""
        if not self.reply.done():
            self.reply.set_result(reply)


Message = bytes | RedundantPublish | Plain
"""What is published; plain bytes are a PUBLISH on this Redis alone that is done again elsewhere if it gets lost."""


def command_of(message: Message) -> bytes:
    """Return the PUBLISH of a message."""
    return message if isinstance(message, bytes) else message.command


def size_of(message: Message) -> int:
    """Return the bytes that a message has taken from the budget."""
    return len(command_of(message))


class PublisherEvents(Protocol):
    """Whom a publisher tells."""

    def publish_refused(self, message: Message, error: str) -> None:
        """The Redis did not publish a message, and would not another time."""


class Publisher:
    """Publishes on one Redis, over one connection after the other.

    Args:
        budget: gets back the bytes of what is acknowledged.
        owner: told what is refused.

    Attributes:
        line: the connection.
    """

    __slots__ = ("_append", "_budget", "_owner", "_popleft", "_waiting", "_write", "line")

    def __init__(self, budget: Budget, owner: PublisherEvents) -> None:
        # The replies come in the order of the commands, so each is the answer to the first that waits.
        self._waiting: deque[Message | AwaitedCommand] = deque()
        self._append = self._waiting.append
        self._popleft = self._waiting.popleft
        self._budget = budget
        self._owner = owner
        self.line = Line()

    def attach(self, link: Link, lost: Lost) -> None:
        """Publish over a new connection.

        Raises:
            Unreachable: it is gone already.
        """
        link.listen(self.take, lost)
        self.line.link = link
        self._write = link.send

    def detach(self) -> list[Message]:
        """Forget the connection, which is lost. Return the messages that it did not acknowledge, in their order."""
        self.line.link = None
        waiting = list(self._waiting)
        self._waiting.clear()
        for entry in waiting:
            if isinstance(entry, AwaitedCommand):
                entry.answer(None)
        return [entry for entry in waiting if not isinstance(entry, AwaitedCommand)]

    def publish(self, command: bytes) -> None:
        """Send a PUBLISH. Its bytes have been taken from the budget; it must be connected, here and below."""
        self._append(command)
        self._write(command)

    def publish_as(self, message: RedundantPublish | Plain) -> None:
        """Send a PUBLISH about which there is more to know."""
        self._append(message)
        self._write(message.command)

    def ask(self, command: bytes) -> asyncio.Future[Any]:
        """Send any command. Its reply is the future's result; None if the connection gets lost."""
        entry = AwaitedCommand(asyncio.get_running_loop().create_future())
        if not self.line.connected:
            entry.answer(None)
        else:
            self._append(entry)
            self._write(command)
        return entry.reply

    def take(self, reply: Any) -> None:
        """Take the next reply."""
        try:
            entry = self._popleft()
        except IndexError:
            self.line.drop("it answered what it was not asked")
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
        elif str(reply).startswith(_UNFIT):
            self._waiting.appendleft(entry)  # what is lost with a connection is published elsewhere
            self.line.drop(str(reply))
        else:
            self._budget.free += size_of(entry)
            self._owner.publish_refused(entry, str(reply))
