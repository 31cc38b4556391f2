"""The way of an emitter's messages into the logs of rooms that keep history."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from math import inf
from typing import Any

from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.log.interface import Append, NewMessage, RoomLog
from crosswire.cluster.redis.link import Unreachable
from crosswire.cluster.redis.log.holder import ANOTHER_RUN, read_positions
from crosswire.cluster.redis.log.run import ASK_REPLICATION, ASK_SERVER, Run
from crosswire.cluster.redis.log.scripts import APPEND, Commands
from crosswire.core.channel_names import Channels
from crosswire.core.formats import EncodedMessage
from crosswire.core.positions import LogPosition
from crosswire.core.targets import Excluded, ToRoom
from crosswire.emitter.announced_rooms import AnnouncedRooms
from crosswire.emitter.redis_link import LinkFailed, RedisLink, Refusal
from crosswire.errors import BusUnavailable

RUN_KNOWN_FOR = 2.0
"""Seconds after which a Redis is asked again for its run, as its role may have changed."""
_ATTEMPTS = 5
"""Number of times that a message is sent, if each time somebody flushes the scripts or the run is another one."""
_LOSSES = 2
"""Number of connections that may be lost before the answer comes."""
_SEED_SIZE = 16
"""Random bytes of which the names of epochs are made."""

MAYBE_KEPT = "perhaps it is kept, and was heard: publish(..., id=...) may be called again, and it is kept once"
"""Text of an error for a message that the log may have."""
NOT_KEPT = "it is not kept, and nobody has got it"
"""Text of an error for a message that the log does not have."""


class RoomLogs:
    """Appends messages to the logs of rooms, each on the Redis where nodes have it. Only one thread may use it.

    A message gets a number: the log drops it if it comes again, as when its answer was lost. Where it can't be kept, it
    is sent to nobody, and the sender is told: an emitter has no means to tell all nodes that a log lacks a message.

    Args:
        links: one to each Redis.
        prefix: the beginning of the names of all keys and channels.
        origin: of the emitter, 8 bytes.
        keys: with which messages are signed; empty if they are not.
    """

    def __init__(self, links: Sequence[RedisLink], prefix: str, origin: bytes, keys: Sequence[bytes]) -> None:
        self._announced = AnnouncedRooms(links, prefix)
        self._logs = {link.id: _LogsOfRedis(link, prefix) for link in links}
        self._channels = Channels(prefix)
        self._origin = origin
        self._bodies = Bodies(origin, keys)
        self._number = 0

    def keeps(self, namespace: str, *, anew: bool = False) -> bool:
        """Return whether the rooms of a namespace keep history, as far as is known; with ``anew`` it is asked for."""
        return self._announced.get(namespace, anew=anew) is not None

    def append(
        self, room: ToRoom, message: EncodedMessage, excluded: Excluded | None, id: str | None = None
    ) -> LogPosition:
        """Append a message to the log of a room, which sends it to the members; return its position.

        Raises:
            BusUnavailable: it is not known to be kept.
        """
        kept = self._announced.get(room.namespace)
        if kept is None:
            raise BusUnavailable(f"the rooms of {room.namespace!r} keep no history any more; {NOT_KEPT}")
        channel = self._channels.room(room.namespace, room.id)
        logs = self._logs.get(holder := self._announced.holder(channel))
        if logs is None:
            raise BusUnavailable(
                f"the room's log is on {holder}, of which this emitter does not know: make another one, with the urls "
                f"that the servers have; {NOT_KEPT}"
            )
        self._number = number = self._number + 1
        new = NewMessage(number, self._bodies.make(channel, number, message, excluded), id)
        log = RoomLog(room, channel, kept.size, kept.ttl)
        return logs.append(Append(log, self._origin, 0, (new,), False, 0.0, _ignore, _ignore))


class _LogsOfRedis:
    """The logs on one Redis."""

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._commands = Commands(prefix.encode(), secrets.token_bytes(_SEED_SIZE))
        self._connection = 0  # the one on which the run was asked for
        self._asked_at = -inf

    def append(self, append: Append) -> LogPosition:
        """Append one message.

        Raises:
            BusUnavailable: it is not known to be kept.
        """
        if not self._link.may_be_tried:
            raise BusUnavailable(f"{self._link.failure}; {NOT_KEPT}")
        losses, sent, is_fresh = 0, False, False
        for _ in range(_ATTEMPTS):
            try:
                answer = self._attempt(append, is_fresh=is_fresh)
            except LinkFailed as error:
                losses, sent = losses + 1, sent or error.sent
                if losses == _LOSSES or not self._link.may_be_tried:
                    raise BusUnavailable(f"{error}; {MAYBE_KEPT if sent else NOT_KEPT}") from error
                continue
            if isinstance(answer, bytes | list):
                return self._position(answer)
            if not (answer == ANOTHER_RUN or (isinstance(answer, Refusal) and answer.is_forgotten)):
                raise BusUnavailable(self._refused(answer, MAYBE_KEPT if sent else NOT_KEPT))
            self._asked_at, is_fresh = -inf, True
        then = MAYBE_KEPT if sent else NOT_KEPT
        raise BusUnavailable(f"{self._link.shown} forgets the scripts again and again; {then}")

    def _attempt(self, append: Append, *, is_fresh: bool) -> Any:
        link = self._link
        link.open()
        if link.connections != self._connection or time.monotonic() - self._asked_at >= RUN_KNOWN_FOR:
            self._prepare()
        # On the connection on which the run was asked for: behind another one there may be older data.
        link.send([self._commands.append(append, is_fresh=is_fresh)], connection=self._connection)
        return link.receive(1)[0]

    def _prepare(self) -> None:
        """Load the script, and ask for the run.

        Raises:
            LinkFailed: the connection was lost, or the Redis can keep nothing.
        """
        link, run, now = self._link, Run(), time.monotonic()
        connection = link.connections
        link.send([APPEND.load, ASK_SERVER, ASK_REPLICATION], connection=connection)
        loaded, server, replication = link.receive(3)
        for each in (loaded, server, replication):
            if isinstance(each, Refusal):
                link.leave_out(f"it refuses what history needs, see docs/security.md: {each.text}")
                raise LinkFailed(link.failure, sent=False)
        try:
            run.take_server(server)
            run.take_replication(replication)
        except Unreachable as error:
            link.leave_out(str(error))
            link.drop()  # the next connection may be to another one
            raise LinkFailed(link.failure, sent=False) from error
        self._commands.use_run(run.name)
        self._connection, self._asked_at = connection, now

    def _refused(self, answer: Any, then: str) -> str:
        """Return the text for an answer that is no position."""
        why = answer.text if isinstance(answer, Refusal) else f"it answered {answer!r:.200}"
        if isinstance(answer, Refusal) and answer.unusable:
            self._link.leave_out(why)
        return f"{self._link.shown} does not keep the message: {why}; {then}"

    def _position(self, answer: bytes | list[Any]) -> LogPosition:
        try:
            return read_positions(answer, 1)[0]
        except ValueError:
            why = f"the answer of {self._link.shown} can't be read: {answer!r:.200}"
            raise BusUnavailable(f"{why}; {MAYBE_KEPT}") from None


def _ignore(*_answer: object) -> None:
    """Take nothing: the answer is read by who has sent the append."""
