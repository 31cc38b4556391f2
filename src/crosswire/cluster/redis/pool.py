"""The choice of a Redis for each message, and sending messages again that a Redis did not take."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from crosswire.cluster.redis.choice import Choice, HashChoice
from crosswire.cluster.redis.commands import PUBLISH, channel_of, message_of, publish
from crosswire.cluster.redis.endpoint import Endpoint
from crosswire.cluster.redis.publisher import Message, PlainPublish, Publisher, RedundantPublish, command_of, size_of
from crosswire.cluster.send_buffer import Budget
from crosswire.core.signing import count_published

RETURN_TIME = 1.5
"""Seconds that other nodes have after an outage to announce that they listen again."""


class PoolEvents(Protocol):
    """Callbacks for whether a pool can publish, and for messages that it lost."""

    def pause_publishing(self) -> None:
        """Keep messages until :meth:`resume_publishing` is called."""

    def resume_publishing(self) -> None:
        """Publish messages again, as a Redis can be used."""

    def messages_dropped(self, reason: str | None, count: int = 1) -> None:
        """Count messages that are lost; ``reason`` is None if the loss was logged already."""


class Pool:
    """Publishes each message on one or several of the Redis that can be used.

    Args:
        choice: the strategy for messages with a header; messages without one always use :class:`HashChoice`.
        budget: of the messages that wait to be acknowledged, or to be published again.
        events: called when it can publish, or can't, and for messages that are lost.
        return_time: seconds that other nodes have after an outage to announce that they listen again.
    """

    def __init__(
        self, choice: Choice[Endpoint], budget: Budget, events: PoolEvents, return_time: float = RETURN_TIME
    ) -> None:
        self._choice = choice
        self._plain_choice: HashChoice[Endpoint] = HashChoice(1)  # messages without numbers must all take one path
        self._budget = budget
        self._events = events
        self._return_time = return_time
        self._common: Collection[str] | None = None
        self._working: Sequence[Endpoint] = ()
        self._usable: Sequence[Endpoint] = ()
        self._only: Publisher | None = None  # of the only usable Redis, if there is only one
        self._unsent: list[bytes] = []  # messages that were lost with a Redis while no other was usable
        self._outage = True  # whether no Redis has worked since one was usable last
        self._waiting: asyncio.TimerHandle | None = None
        self._closed = False

    # Messages

    def publish(self, channel: bytes, header: bytes, body: bytes) -> None:
        """Publish a message with a header. If it may have been lost, it is published again, so it may come twice."""
        # As publish of commands, and that of the publisher, do it: without these calls for each message.
        command = PUBLISH % (len(channel), channel, len(header) + len(body), header, body)
        only = self._only
        if only is not None:
            self._budget.free -= len(command)
            only.wait_for_reply(command)
            only.write(command)
        else:
            self._place(channel, command)

    def publish_plain(self, channel: bytes, body: bytes) -> None:
        """Publish a message without a header, once at most."""
        message = PlainPublish(publish(channel, b"", body))
        self._budget.free -= len(message.command)
        self._plain_choice.choose(channel)[0].publisher.publish_as(message)

    def announce(self, command: bytes, endpoints: Sequence[Endpoint]) -> None:
        """Publish a command on all of these Redis, which are connected; if they fail, it is not published elsewhere."""
        self._share(command, endpoints, again=False)

    def refused(self, endpoint: Endpoint, message: Message) -> bool:
        """Publish a message that one Redis has refused on the others, if allowed; return whether it may arrive."""
        if isinstance(message, RedundantPublish):
            message.copies -= 1
            if message.copies:
                return True
            if not message.again:
                return False
        elif isinstance(message, bytes) and (others := [each for each in self._usable if each is not endpoint]):
            self._share(message, others)  # on all others, as some of them may refuse it too
            return True
        self._events.messages_dropped(None, 1 if isinstance(message, PlainPublish) else _count([command_of(message)]))
        return False

    def lost(self, messages: list[Message]) -> None:
        """Publish the messages again that a lost Redis did not acknowledge, before newer messages."""
        again: list[bytes] = []
        for message in messages:
            self._budget.free += size_of(message)
            if isinstance(message, bytes):
                again.append(message)
            elif isinstance(message, PlainPublish):
                self._events.messages_dropped("the connection was lost before Redis had acknowledged it")
            else:
                message.copies -= 1
                if message.again and not message.copies:
                    again.append(message.command)
        if self._usable:
            self._place_all(again)
        elif self._closed:
            if again:
                self._events.messages_dropped("the node has stopped", _count(again))
        else:
            self._budget.free -= sum(map(len, again))
            self._unsent[:0] = again

    # The Redis to choose from

    def use(self, working: Sequence[Endpoint]) -> None:
        """Publish on these Redis from now on, which are all that work."""
        self._working = working
        self._decide()

    def prefer(self, common: Collection[str] | None) -> None:
        """Publish only on Redis with these ids that work. If none of them works, or with None, use any Redis."""
        self._common = common
        self._decide()

    def measured(self) -> None:
        """Take note that a latency changed."""
        self._choice.measured()

    def close(self) -> None:
        """Drop the messages that wait to be published again, and publish no more."""
        self._closed = True
        if self._unsent:
            self._events.messages_dropped("the node stops, and no Redis can be reached", _count(self._unsent))
        self._unsent.clear()
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
            # No other node is known to listen on it. They probably lost it too, and are about to connect again.
            self._waiting = asyncio.get_running_loop().call_later(self._return_time, self._waited)
        if self._waiting is not None and (usable or not working):
            self._waiting.cancel()
            self._waiting = None
        if usable != self._usable:
            self._change(usable)

    def _waited(self) -> None:
        self._waiting, self._outage = None, False
        self._decide()

    def _change(self, usable: Sequence[Endpoint]) -> None:
        paused, self._usable = not self._usable, usable
        self._only = usable[0].publisher if len(usable) == 1 else None
        if not usable:
            self._events.pause_publishing()
            return
        self._choice.use(usable)
        self._plain_choice.use(usable)
        unsent, self._unsent = self._unsent, []
        self._budget.free += sum(map(len, unsent))
        self._place_all(unsent)
        if paused:
            self._events.resume_publishing()

    # Sending

    def _place_all(self, commands: Collection[bytes]) -> None:
        for command in commands:
            self._place(channel_of(command), command)

    def _place(self, channel: bytes, command: bytes) -> None:
        chosen = self._choice.choose(channel)
        if len(chosen) == 1:
            self._budget.free -= len(command)
            chosen[0].publisher.publish(command)
            return
        self._share(command, chosen)

    def _share(self, command: bytes, endpoints: Sequence[Endpoint], *, again: bool = True) -> None:
        """Publish a message on all of these Redis; ``again`` as for :class:`RedundantPublish`."""
        self._budget.free -= len(command) * len(endpoints)
        message = RedundantPublish(command, len(endpoints), again=again)
        for endpoint in endpoints:
            endpoint.publisher.publish_as(message)


def _count(commands: Collection[bytes]) -> int:
    """Return the number of messages with a header in some commands; several may be in one."""
    return sum(count_published(message_of(command)) for command in commands)
