"""The choice of a Redis for each message of an emitter, and sending messages again that a Redis did not take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from crosswire.cluster.redis.choice import Choice, HashChoice, make_choice
from crosswire.cluster.redis.commands import command
from crosswire.emitter.redis_link import LinkFailed, RedisLink, Refusal
from crosswire.errors import BusUnavailable

MAX_WRITE = 1024 * 1024
"""Bytes of commands that are written before their answers are read."""
MAX_PIPELINED = 1000
"""Commands that are written before their answers are read."""

_UNCOVERED = "not all nodes listen on it"


class Outgoing:
    """A message that is being published.

    Args:
        channel: its name.
        command: the encoded PUBLISH.
        plain: whether it has no number. Then receivers could not drop a duplicate, so it is sent once at most.

    Attributes:
        tried: the Redis that failed or refused to publish it, or that not all nodes listen on.
        taken: whether a Redis that all nodes listen on, as far as that is known, has published it.
        receivers: number of connections that a Redis has sent it to; None until it is published.
    """

    __slots__ = ("channel", "command", "plain", "receivers", "taken", "tried")

    def __init__(self, channel: bytes, command: bytes, *, plain: bool) -> None:
        self.channel = channel
        self.command = command
        self.plain = plain
        self.tried: set[RedisLink] = set()
        self.taken = False
        self.receivers: int | None = None


class Publisher:
    """Publishes on one or several Redis, and waits until they acknowledge it. Only one thread may use it at a time.

    A Redis that fails is left out for a while. So is one that fewer nodes listen on than on another, as after its
    restart: where there are several, each is asked for that with the messages. What was published on it is published on
    another too; receivers drop duplicates.

    Args:
        links: one to each Redis.
        strategy: see :class:`~crosswire.Redis`.
        copies: number of Redis on which a message is published.

    Attributes:
        links: as given.
    """

    def __init__(self, links: Sequence[RedisLink], strategy: str, copies: int) -> None:
        self.links = links
        self._copies = copies
        self._choice: Choice[RedisLink] = make_choice(strategy, copies)
        self._plain_choice: HashChoice[RedisLink] = HashChoice(1)  # messages without numbers must all take one path
        self._usable: Sequence[RedisLink] = ()
        self._count: list[bytes] = []

    def compare_listeners_of(self, channel: bytes) -> None:
        """Leave out a Redis with fewer listeners than another of a channel that all nodes listen on."""
        self._count = [command(b"PUBSUB", b"NUMSUB", channel)] if len(self.links) > 1 else []

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages, and return when they are acknowledged.

        Raises:
            BusUnavailable: no Redis takes one of them. Those that were published have ``receivers``.
        """
        if self._count and any(message.plain for message in messages):
            unknown = [link for link in self._use(set()) if link.listeners is None and link.tells_listeners]
            self._survey(unknown)  # before, as it can't be sent again
        for chunk in _chunks(messages):
            waiting, reasons = chunk, dict[RedisLink, str]()
            while waiting:
                self._attempt(waiting, reasons)
                waiting = [message for message in waiting if not message.taken]

    def close(self) -> None:
        """Close the connections to all Redis."""
        for link in self.links:
            link.drop()

    def count_listeners(self, channels: Sequence[bytes]) -> Sequence[int | None]:
        """Count the connections that listen on each channel, on the Redis with the most; None if no Redis tells."""
        asked = command(b"PUBSUB", b"NUMSUB", *channels)
        counts: Sequence[int | None] = [None] * len(channels)
        for link in self._use(set()):
            try:
                link.send([asked])
                answer = link.receive(1)[0]
            except LinkFailed:
                continue
            if isinstance(answer, list):
                counts = [max(count or 0, heard) for count, heard in zip(counts, answer[1::2], strict=True)]
        return counts

    def _attempt(self, messages: Sequence[Outgoing], reasons: dict[RedisLink, str]) -> None:
        """Send each message to the Redis chosen for it; ``reasons`` get why a Redis can't be used."""
        parts = dict[RedisLink, list[Outgoing]]()
        for message in messages:
            for link in self._choose(message, reasons):
                parts.setdefault(link, []).append(message)
        unread, answers = list[RedisLink](), dict[RedisLink, list[Any]]()
        for link, part in parts.items():
            try:
                link.send([*(message.command for message in part), *self._count])
                unread.append(link)
            except LinkFailed as error:
                _failed(link, part, error, reasons)
        for link in unread:
            try:
                answers[link] = link.receive(len(parts[link]) + len(self._count))
            except LinkFailed as error:
                _failed(link, parts[link], error, reasons)
        for link, answer in answers.items():
            self._settle(link, parts[link], answer, reasons)

    def _choose(self, message: Outgoing, reasons: dict[RedisLink, str]) -> Sequence[RedisLink]:
        usable = self._use(message.tried)
        if not usable and message.receivers is not None:  # some nodes have it, and it can't be sent to more
            message.taken = True
        elif not usable:
            said = "; ".join(reasons.get(link, link.failure) for link in self.links)
            raise BusUnavailable(f"no Redis takes the message: {said}")
        if message.tried:
            return sorted(usable, key=lambda link: -(link.listeners or 0))[: self._copies]
        return (self._plain_choice if message.plain else self._choice).choose(message.channel)

    def _use(self, tried: set[RedisLink]) -> Sequence[RedisLink]:
        """Return the Redis that may be used for a message; empty if there are none that it was not tried on."""
        now = time.monotonic()
        usable = [link for link in self.links if link.retry_at <= now]
        untried = usable if not tried else [link for link in usable if link not in tried]
        if not untried:
            untried = [link for link in self.links if link.retry_anyway_at <= now and link not in tried]
            usable = usable or untried
        if usable and usable != self._usable:
            self._usable = usable
            self._choice.use(usable)
            self._plain_choice.use(usable)
        return untried

    def _settle(
        self, link: RedisLink, messages: Sequence[Outgoing], answers: list[Any], reasons: dict[RedisLink, str]
    ) -> None:
        """Note the answers of a Redis to the messages that were sent to it."""
        covered = self._is_covered(link, answers.pop()) if self._count else True
        for message, answer in zip(messages, answers, strict=True):
            if isinstance(answer, int):
                message.receivers = max(answer, message.receivers or 0)
                if covered or (message.plain and answer):
                    message.taken = True
                else:
                    message.tried.add(link)
                continue
            message.tried.add(link)
            why = answer.text if isinstance(answer, Refusal) else f"it answered {answer!r}"
            reasons[link] = f"{link.shown}: {why}"
            if isinstance(answer, Refusal) and answer.unusable:
                link.leave_out(why)

    def _is_covered(self, link: RedisLink, count: object) -> bool:
        """Return whether no more nodes listen on another Redis; leave this one out for a while if they do.

        Args:
            link: to the Redis.
            count: its answer to how many nodes listen on it.
        """
        _note_listeners(link, count)
        here = link.listeners
        if here is None:  # an ACL forbids to ask
            return True
        others = [each for each in self._usable if each is not link and each.tells_listeners]
        if all(each.listeners is not None and each.listeners <= here for each in others):
            return True
        self._survey(others)
        if any(each.listeners is not None and each.listeners > here for each in others):
            link.leave_out(_UNCOVERED)
            return False
        return True

    def _survey(self, links: Iterable[RedisLink]) -> None:
        """Ask on each Redis how many nodes listen on it."""
        for link in links:
            try:
                link.send(self._count)
                _note_listeners(link, link.receive(1)[0])
            except LinkFailed:
                continue  # it is left out, and has no listeners


def _note_listeners(link: RedisLink, answer: object) -> None:
    """Note the answer to PUBSUB NUMSUB, which may be a refusal."""
    if isinstance(answer, list) and len(answer) == 2 and isinstance(answer[1], int):
        link.listeners, link.tells_listeners = answer[1], True
    else:
        link.listeners, link.tells_listeners = None, False


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
