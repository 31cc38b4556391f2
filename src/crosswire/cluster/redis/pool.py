"""Which Redis a message goes to, and what becomes of those that one did not take."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from crosswire.cluster.redis.choice import Choice, Hash
from crosswire.cluster.redis.commands import channel_of
from crosswire.cluster.redis.endpoint import Endpoint
from crosswire.cluster.redis.publisher import Budget, Message, Plain, RedundantPublish, size_of
from crosswire.errors import BusUnavailable

_PATIENCE = 1.5
"""Seconds, after an outage, for other nodes to say that they listen again."""


class PoolEvents(Protocol):
    """Whom a pool tells."""

    def message_dropped(self, why: str | None, count: int = 1) -> None:
        """A message, or several, are lost for all they were for."""


class Pool:
    """Publishes on the Redis that can be used, and keeps what comes while there is none.

    Args:
        choice: the strategy for messages that have a number; the others go by the hash of their channel.
        budget: of the messages that wait: for a Redis, or to be acknowledged by it.
        raises: whether a message that does not fit in is refused with an exception, or dropped.
        owner: told what was dropped.
    """

    def __init__(self, choice: Choice[Endpoint], budget: Budget, *, raises: bool, owner: PoolEvents) -> None:
        self._choice = choice
        self._plain_choice: Hash[Endpoint] = Hash(1)  # without numbers, only one way keeps them in order
        self._budget = budget
        self._raises = raises
        self._owner = owner
        self._common: Collection[str] | None = None
        self._working: Sequence[Endpoint] = ()
        self._usable: Sequence[Endpoint] = ()
        self._only: Callable[[bytes], None] | None = None  # publishes on the one that is usable, if it is one
        self._backlog: deque[bytes | Plain] = deque()
        self._outage = True  # since the last time that one was usable, none worked
        self._waiting: asyncio.TimerHandle | None = None
        self._closed = False

    # What is published

    def publish(self, channel: bytes, command: bytes) -> None:
        """Take a PUBLISH that has a number, so that it may come twice.

        Raises:
            BusUnavailable: it does not fit in.
        """
        size, budget = len(command), self._budget
        if size > budget.free and not self._admits():
            return
        only = self._only
        if only is not None:
            budget.free -= size
            only(command)
        else:
            self._place(channel, command)

    def require_room(self, size: int) -> None:
        """See that so many bytes fit in.

        Raises:
            BusUnavailable: they don't, and what does not fit in is refused.
        """
        if self._raises and size > self._budget.free:
            raise BusUnavailable(f"{self._why()}: try again later, or raise Redis(buffer=)")

    def publish_plain(self, channel: bytes, command: bytes) -> None:
        """Take one that has none.

        Raises:
            BusUnavailable: it does not fit in.
        """
        if len(command) > self._budget.free and not self._admits():
            return
        self._place_plain(channel, Plain(command))

    def announce(self, command: bytes, endpoints: Sequence[Endpoint]) -> None:
        """Publish on all of these, which are connected, and nowhere else if they fail."""
        self._share(command, endpoints, again=False)

    def refused(self, endpoint: Endpoint, message: Message) -> bool:
        """Publish elsewhere what a Redis did not publish, and would not another time; tell whether it may be heard."""
        if isinstance(message, RedundantPublish):
            message.copies -= 1
            if message.copies:
                return True
            if not message.again:
                return False
        elif isinstance(message, bytes) and (others := [each for each in self._usable if each is not endpoint]):
            self._share(message, others)  # on all of them: others may refuse it too
            return True
        self._owner.message_dropped(None)  # who refused it, and why, is told by others
        return False

    def lost(self, messages: list[Message]) -> None:
        """Publish again, before anything newer, what a Redis did not acknowledge; it is not among the working ones."""
        again: list[bytes | Plain] = []
        for message in messages:
            self._budget.free += size_of(message)
            if isinstance(message, bytes):
                again.append(message)
            elif isinstance(message, Plain):
                self._owner.message_dropped("the connection was lost before Redis had acknowledged it")
            else:
                message.copies -= 1
                if message.again and not message.copies:
                    again.append(message.command)
        if self._usable:
            self._place_all(again)
        else:
            again.extend(self._backlog)
            self._budget.free += sum(map(size_of, self._backlog))
            self._backlog.clear()
            self._place_all(again)

    # Where it goes

    def use(self, working: Sequence[Endpoint]) -> None:
        """Publish on these; they work."""
        self._working = working
        self._decide()

    def prefer(self, common: Collection[str] | None) -> None:
        """Publish only on those with these ids that work, if any does; None for no preference."""
        self._common = common
        self._decide()

    def measured(self) -> None:
        """A latency is another."""
        self._choice.measured()

    def close(self) -> None:
        """Publish no more: what comes is dropped."""
        self._closed = True
        if self._backlog:
            self._owner.message_dropped(
                "the node stops, and no Redis could be reached to hand it to", len(self._backlog)
            )
        self._backlog.clear()
        self.use(())

    def _decide(self) -> None:
        working, common = self._working, self._common
        usable = [each for each in working if common is None or each.id in common]
        if not working:
            self._outage = True
        elif usable:
            self._outage = False
        elif not self._outage:
            usable = list(working)
        elif self._waiting is None:
            # Nobody is known to listen there. The others have lost it as this node has, and are about to be back.
            self._waiting = asyncio.get_running_loop().call_later(_PATIENCE, self._waited)
        if self._waiting is not None and (usable or not working):
            self._waiting.cancel()
            self._waiting = None
        if usable != self._usable:
            self._change(usable)

    def _waited(self) -> None:
        self._waiting, self._outage = None, False
        self._decide()

    def _change(self, usable: Sequence[Endpoint]) -> None:
        self._usable = usable
        self._only = usable[0].publisher.publish if len(usable) == 1 else None
        if not usable:
            return
        self._choice.use(usable)
        self._plain_choice.use(usable)
        backlog, self._backlog = self._backlog, deque()
        self._budget.free += sum(map(size_of, backlog))
        self._place_all(backlog)

    # How it goes there

    def _place_all(self, messages: Collection[bytes | Plain]) -> None:
        for message in messages:
            if isinstance(message, Plain):
                self._place_plain(channel_of(message.command), message)
            else:
                self._place(channel_of(message), message)

    def _place(self, channel: bytes, command: bytes) -> None:
        if not self._usable:
            self._keep(command)
            return
        chosen = self._choice.choose(channel)
        if len(chosen) == 1:
            self._budget.free -= len(command)
            chosen[0].publisher.publish(command)
            return
        self._share(command, chosen)

    def _share(self, command: bytes, endpoints: Sequence[Endpoint], *, again: bool = True) -> None:
        """Publish on all of these; ``again`` as for :class:`RedundantPublish`."""
        self._budget.free -= len(command) * len(endpoints)
        message = RedundantPublish(command, len(endpoints), again=again)
        for endpoint in endpoints:
            endpoint.publisher.publish_as(message)

    def _place_plain(self, channel: bytes, message: Plain) -> None:
        if not self._usable:
            self._keep(message)
            return
        self._budget.free -= len(message.command)
        self._plain_choice.choose(channel)[0].publisher.publish_as(message)

    def _keep(self, message: bytes | Plain) -> None:
        if self._closed:
            self._owner.message_dropped("the node has stopped")
            return
        self._budget.free -= size_of(message)
        self._backlog.append(message)

    def _admits(self) -> bool:
        """Decide about a message that does not fit in."""
        budget = self._budget
        if budget.free == budget.limit:  # it never will, and it is the only one
            return True
        if self._raises:
            raise BusUnavailable(f"{self._why()}: try again later, or raise Redis(buffer=)")
        self._owner.message_dropped(self._why())
        return False

    def _why(self) -> str:
        why = "Redis does not keep up" if self._usable else "no Redis can be reached"
        return f"{why}, and {self._budget.limit - self._budget.free} bytes wait already"
