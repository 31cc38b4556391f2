"""The choice of a Redis for each message of an emitter, and sending messages again that a Redis did not take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from crosswire.cluster.redis.choice import Choice, HashChoice, make_choice
from crosswire.emitter.redis_link import LinkFailed, RedisLink, Refusal
from crosswire.errors import BusUnavailable

MAX_WRITE = 1024 * 1024
"""Bytes of commands that are written before their answers are read."""
MAX_PIPELINED = 1000
"""Commands that are written before their answers are read."""


class Outgoing:
    """A message that is being published.

    Args:
        channel: its name.
        command: the encoded PUBLISH.
        plain: whether it has no number. Then receivers could not drop a duplicate, so it is sent once at most.

    Attributes:
        tried: the Redis that failed or refused to publish it.
        receivers: number of connections that a Redis has sent it to; None until it is published.
    """

    __slots__ = ("channel", "command", "plain", "receivers", "tried")

    def __init__(self, channel: bytes, command: bytes, *, plain: bool) -> None:
        self.channel = channel
        self.command = command
        self.plain = plain
        self.tried: set[RedisLink] = set()
        self.receivers: int | None = None


class Publisher:
    """Publishes on one or several Redis, and waits until they acknowledge it. Only one thread may use it at a time.

    A Redis that fails is left out for a while. If all have failed, those that fail at once are tried anyway.

    Args:
        links: one to each Redis.
        strategy: see :class:`~crosswire.Redis`.
        copies: number of Redis on which a message is published.
    """

    def __init__(self, links: Sequence[RedisLink], strategy: str, copies: int) -> None:
        self._links = links
        self._copies = copies
        self._choice: Choice[RedisLink] = make_choice(strategy, copies)
        self._plain_choice: HashChoice[RedisLink] = HashChoice(1)  # messages without numbers must all take one path
        self._usable: Sequence[RedisLink] = ()

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages, and return when they are acknowledged.

        Raises:
            BusUnavailable: no Redis takes one of them. Those that were published have ``receivers``.
        """
        for chunk in _chunks(messages):
            waiting, reasons = chunk, dict[RedisLink, str]()
            while waiting:
                self._attempt(waiting, reasons)
                waiting = [message for message in waiting if message.receivers is None]

    def close(self) -> None:
        """Close the connections to all Redis."""
        for link in self._links:
            link.drop()

    def _attempt(self, messages: Sequence[Outgoing], reasons: dict[RedisLink, str]) -> None:
        """Send each message to the Redis chosen for it; ``reasons`` get why a Redis can't be used."""
        parts = dict[RedisLink, list[Outgoing]]()
        for message in messages:
            for link in self._choose(message, reasons):
                parts.setdefault(link, []).append(message)
        unread: list[RedisLink] = []
        try:
            for link, part in parts.items():
                try:
                    link.send([message.command for message in part])
                    unread.append(link)
                except LinkFailed as error:
                    _failed(link, part, error, reasons)
            while unread:
                link = unread.pop()
                try:
                    _settle(link, parts[link], link.receive(len(parts[link])), reasons)
                except LinkFailed as error:
                    _failed(link, parts[link], error, reasons)
        finally:
            for link in unread:  # its answers would be taken for those to later commands
                link.drop()

    def _choose(self, message: Outgoing, reasons: dict[RedisLink, str]) -> Sequence[RedisLink]:
        usable = self._use(message.tried)
        if not usable:
            said = "; ".join(reasons.get(link, link.failure) for link in self._links)
            raise BusUnavailable(f"no Redis takes the message: {said}")
        if message.tried:
            return [link for link in usable if link not in message.tried][: self._copies]
        return (self._plain_choice if message.plain else self._choice).choose(message.channel)

    def _use(self, tried: set[RedisLink]) -> Sequence[RedisLink]:
        """Return the Redis that may be used for a message; empty if there are none that it was not tried on."""
        now = time.monotonic()
        usable = [link for link in self._links if link.retry_at <= now] or [
            link for link in self._links if not link.hung and link not in tried
        ]
        if usable != self._usable and usable:
            self._usable = usable
            self._choice.use(usable)
            self._plain_choice.use(usable)
        return usable if not tried else [link for link in usable if link not in tried]


def _chunks(messages: Sequence[Outgoing]) -> Iterable[list[Outgoing]]:
    chunk, size = list[Outgoing](), 0
    for message in messages:
        if chunk and (size + len(message.command) > MAX_WRITE or len(chunk) == MAX_PIPELINED):
            yield chunk
            chunk, size = [], 0
        chunk.append(message)
        size += len(message.command)
    if chunk:
        yield chunk


def _settle(
    link: RedisLink, messages: Sequence[Outgoing], answers: Sequence[object], reasons: dict[RedisLink, str]
) -> None:
    """Note the answers of a Redis to the messages that were sent to it."""
    for message, answer in zip(messages, answers, strict=True):
        if isinstance(answer, int):
            message.receivers = max(answer, message.receivers or 0)
            continue
        message.tried.add(link)
        why = answer.text if isinstance(answer, Refusal) else f"it answered {answer!r}"
        reasons[link] = f"{link.shown}: {why}"
        if isinstance(answer, Refusal) and answer.unusable:
            link.leave_out(why)


def _failed(link: RedisLink, messages: Sequence[Outgoing], error: LinkFailed, reasons: dict[RedisLink, str]) -> None:
    """Note that a Redis failed, so that the messages are published on another.

    Raises:
        BusUnavailable: a message may have arrived, and must not come twice.
    """
    reasons[link] = str(error)
    for message in messages:
        message.tried.add(link)
        if error.sent and message.plain:
            raise BusUnavailable(f"the message may have arrived or not: {error}")
