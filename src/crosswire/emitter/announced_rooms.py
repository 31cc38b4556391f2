"""The namespaces whose rooms keep history, as an emitter knows them from what nodes note in Redis."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from crosswire.cluster.redis.choice import HashChoice
from crosswire.cluster.redis.log import announcements
from crosswire.cluster.redis.log.announcements import ASK_TIME, KeptRooms
from crosswire.emitter.redis_link import LinkFailed, RedisLink
from crosswire.errors import BusUnavailable
from crosswire.runtime.log_records import get_logger

REFRESH_AFTER = 2.0
"""Seconds after which it is read again: so soon that nothing is kept in a Redis whose rooms moved 3 seconds ago."""
REMEMBERED_FOR = 15.0
"""Seconds for which it counts when no Redis says it any more, as after a restart."""
REFUSED_FOR = 60.0
"""Seconds for which a Redis is not asked again that refuses to tell."""

logger = get_logger("crosswire.emitter")


class _Named(NamedTuple):
    """A Redis that nodes name as a holder of logs."""

    id: str
    latency: None = None


class AnnouncedRooms:
    """The namespaces that keep history, and the Redis that hold their logs, read from all Redis now and then.

    Args:
        links: one to each Redis.
        prefix: the beginning of the names of all keys and channels.
    """

    def __init__(self, links: Sequence[RedisLink], prefix: str) -> None:
        self._links = links
        self._questions = [announcements.ask(prefix.encode()), ASK_TIME]
        self._read_at = -inf
        self._connections = 0  # those that were made when it was read last
        self._heard: dict[str, tuple[KeptRooms, float]] = {}
        self._holders: dict[RedisLink, tuple[str, ...]] = {}
        self._refused_until: dict[RedisLink, float] = {}
        self._warned = False

    def get(self, namespace: str, *, anew: bool = False) -> KeptRooms | None:
        """Return how much each room of a namespace keeps; None if they keep nothing, as far as is known.

        Args:
            namespace: of the rooms.
            anew: whether to ask again, even if that was just done.
        """
        now = time.monotonic()
        if anew or now - self._read_at >= REFRESH_AFTER or self._connections != self._count_connections():
            self._read(now)
        heard = self._heard.get(namespace)
        return None if heard is None else heard[0]

    def holder(self, channel: bytes) -> str:
        """Return the id of the Redis that holds the log of the room with a channel.

        Raises:
            BusUnavailable: the nodes are about to change their Redis.
        """
        chosen = set[str]()
        for ids in set(self._holders.values()):
            choice: HashChoice[_Named] = HashChoice(1)
            choice.use([_Named(id) for id in ids])
            chosen.add(choice.choose(channel)[0].id)
        if len(chosen) != 1:
            raise BusUnavailable("the nodes are changing their Redis, so it is not known where the room's log is")
        return chosen.pop()

    def _read(self, now: float) -> None:
        holders = dict[RedisLink, tuple[str, ...]]()
        for link in self._links:
            if (said := self._ask(link, now)) is None:
                continue
            for namespace, rooms in said.namespaces.items():
                known, since = self._heard.get(namespace, (rooms, now))
                if since == now:  # another Redis has just said it too
                    rooms = KeptRooms(max(known.size, rooms.size), max(known.ttl, rooms.ttl))
                self._heard[namespace] = rooms, now
            if said.holders:
                holders[link] = said.holders
        if holders:
            self._holders = holders
        self._heard = {name: each for name, each in self._heard.items() if now - each[1] < REMEMBERED_FOR}
        self._read_at, self._connections = now, self._count_connections()

    def _ask(self, link: RedisLink, now: float) -> announcements.Announcement | None:
        if self._refused_until.get(link, -inf) > now or not link.may_be_tried:
            return None
        try:
            link.send(self._questions)
            notes, clock = link.receive(len(self._questions))
        except LinkFailed:
            return None
        if isinstance(notes, list) and isinstance(clock, list):
            return announcements.read(notes, clock)
        self._refused_until[link] = now + REFUSED_FOR
        if not self._warned:
            self._warned = True
            refusal = notes if not isinstance(notes, list) else clock
            logger.warning(
                "%s does not tell which rooms keep history (%s), so messages to rooms are sent without being kept: if "
                "rooms keep history, give the user the rights that docs/security.md names",
                link.shown,
                refusal.text,
            )
        return None

    def _count_connections(self) -> int:
        return sum(link.connections for link in self._links)
