"""One node's end of a bus of Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from math import inf
from typing import Protocol

from crosswire.cluster.interface import PortEvents, Receive
from crosswire.cluster.receivers import Receivers
from crosswire.cluster.redis.choice import make_choice
from crosswire.cluster.redis.commands import command, publish, text_of_channel
from crosswire.cluster.redis.endpoint import Endpoint, ProbeTiming
from crosswire.cluster.redis.endpoints import Endpoints
from crosswire.cluster.redis.pool import Pool
from crosswire.cluster.redis.publisher import Budget
from crosswire.core.envelopes import pack_header
from crosswire.core.sequencing import Numbers
from crosswire.errors import BusUnavailable
from crosswire.runtime.throttled_warnings import ThrottledWarnings, reason
from crosswire.types import GapInfo, LinkStatus

_THIS_NODE_AND_ANOTHER = 2
_ANSWER = 1.0
"""Seconds that a Redis has to answer a question."""

_SLACK = 0.5
"""Seconds, on top of those in which a Redis that hangs is noticed, until messages that it did not take have come over
another one."""

_FRAMING = 128
"""Bytes, at most, that a PUBLISH takes beside the channel and the body."""

_OFTEN = 0.5
"""Seconds. Messages found missing on many channels within this time are told of as one gap."""

logger = logging.getLogger("crosswire.redis")


class PortOptions(Protocol):
    """Options of a bus that its ports use; :class:`~crosswire.cluster.redis.options.Redis` says what each means."""

    @property
    def all_urls(self) -> tuple[str, ...]: ...

    @property
    def strategy(self) -> str: ...

    @property
    def delivery(self) -> str: ...

    @property
    def prefix(self) -> str: ...

    @property
    def ping_interval(self) -> float: ...

    @property
    def ping_timeout(self) -> float: ...

    @property
    def auto_unsubscribe(self) -> bool: ...

    @property
    def buffer(self) -> int: ...

    @property
    def overflow(self) -> str: ...


class RedisPort:
    """A :class:`~crosswire.cluster.interface.Port` over the Redis of some options; and these can be changed.

    Args:
        options: of the bus.
        owner: told what happens.
        name: of the node.
        origin: 8 bytes, unique.
    """

    def __init__(self, options: PortOptions, owner: PortEvents, name: str, origin: bytes) -> None:
        self.origin = origin
        self.dropped = self.refused = self.gaps = 0
        self._options = options
        self._owner = owner
        self._numbers = Numbers()
        self._next = self._numbers.next
        self._warnings = ThrottledWarnings(logger)
        redundant = options.delivery == "redundant"
        self._copies = 2 if redundant else 1
        choice = make_choice(options.strategy, 2 if redundant else 1)
        budget = Budget(options.buffer)
        self._receivers = Receivers(
            origin,
            scattered=not choice.ordered,
            patience=options.ping_interval + options.ping_timeout + _SLACK,
            owner=self,
        )
        self._pool = Pool(choice, budget, raises=options.overflow == "raise", owner=self)
        self._publish = self._pool.publish
        self._misses = _Misses(self._tell_gap)
        self._endpoints = Endpoints(
            name,
            ProbeTiming(options.ping_interval, options.ping_timeout),
            f"{options.prefix}p:{origin.hex()}".encode(),
            redundant=redundant,
            receivers=self._receivers,
            pool=self._pool,
            budget=budget,
            owner=owner,
            gap=self._tell_gap,
        )

    async def start(self) -> None:
        """Connect. Returns when a Redis works and the others had time to, or after 2 seconds without one.

        Raises:
            ConfigError: a Redis refuses the user or password, or its TLS files can't be read.
        """
        await self._endpoints.start(self._options.all_urls)

    async def stop(self) -> None:
        """Wait for what was published to be acknowledged, for half a second at most, and disconnect."""
        await self._endpoints.stop()
        self._receivers.clear()
        self._misses.stop()

    @property
    def available(self) -> bool:
        """Whether a Redis is healthy."""
        return self._endpoints.available

    @property
    def paths(self) -> tuple[str, ...]:
        """The ids of those that are."""
        return self._endpoints.paths

    def use_paths(self, common: Collection[str] | None) -> None:
        """Publish only on those of these that work, if any does; None for no preference."""
        self._pool.prefer(None if common is None else frozenset(common))

    # Publishing

    def publish(self, channel: bytes, body: bytes, *, plain: bool = False) -> None:
        """Hand over a message; see :class:`~crosswire.cluster.interface.Port`."""
        if plain:
            self._pool.publish_plain(channel, publish(channel, b"", body))
            return
        number, previous = self._next(channel)
        try:
            self._publish(channel, publish(channel, pack_header(self.origin, number, previous), body))
        except BusUnavailable:
            self._numbers.take_back(channel, previous)  # else the next one would be waited for in vain
            raise

    def require_room(self, sizes: Collection[int]) -> None:
        """See that messages of these sizes fit in; see :class:`~crosswire.cluster.interface.Port`."""
        self._pool.require_room(self._copies * sum(_FRAMING + size for size in sizes))

    def announce(self, channel: bytes, body: bytes) -> None:
        """Hand it over on all Redis that are connected now."""
        connected = self._endpoints.connected
        if connected:  # else its number would be missed
            number, previous = self._next(channel)
            self._pool.announce(publish(channel, pack_header(self.origin, number, previous), body), connected)

    # Listening

    def subscribe(self, channel: bytes, receive: Receive, *, plain: bool = False) -> None:
        """Listen, soon."""
        self._receivers.open(channel, receive, plain=plain)
        self._endpoints.changed(channel)

    def unsubscribe(self, channel: bytes) -> None:
        """Listen no more; without ``auto_unsubscribe``, only don't take what comes."""
        self._receivers.close(channel, unsubscribe=self._options.auto_unsubscribe)
        self._endpoints.changed(channel)

    def is_listening(self, channel: bytes) -> bool:
        """Whether every Redis that is healthy has confirmed it, and one is."""
        if channel not in self._receivers.receivers:
            return False
        healthy = self._endpoints.healthy
        return bool(healthy) and all(endpoint.subscriber.listens(channel) for endpoint in healthy)

    async def listening(self, channel: bytes) -> None:
        """Wait until every Redis that is healthy has confirmed it, or is not any more.

        Raises:
            BusUnavailable: every one that is healthy refuses it.
        """
        refusals: dict[Endpoint, str] = {}
        for endpoint in self._endpoints.healthy:
            if (error := await endpoint.subscriber.listening(channel)) is not None:
                refusals[endpoint] = error
        if refusals and all(endpoint in refusals for endpoint in self._endpoints.healthy):
            said = "; ".join(f"{endpoint.address.shown} says {error}" for endpoint, error in refusals.items())
            raise BusUnavailable(
                f"no Redis lets this node listen on {text_of_channel(channel)!r}, so it would hear nothing there: "
                f"{said}. Check the ACL of the user that it logs in as"
            )

    async def listeners(self, channel: bytes) -> int:
        """Count who listens on the channel, where most do; 0 if no Redis tells within a second.

        Where one does not let this node ask, it is as if one other listened: to wait for it in vain does less harm.
        """
        question = command(b"PUBSUB", b"NUMSUB", channel)
        asked = [endpoint.publisher.ask(question) for endpoint in self._endpoints.healthy]
        if asked:
            await asyncio.wait(asked, timeout=_ANSWER)
        return max(map(self._count, asked), default=0)

    def _count(self, asked: asyncio.Future[object]) -> int:
        """Read the answer to PUBSUB NUMSUB, if there is one."""
        reply = asked.result() if asked.done() else None
        if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], int):
            return reply[1]
        if not isinstance(reply, Exception):
            return 0
        text = "a Redis does not tell who listens, so others are waited for in vain: %s. Its ACL needs +pubsub|numsub"
        self._warnings.warn("count", text, reason(reply))
        return _THIS_NODE_AND_ANOTHER

    def forget(self, origin: bytes) -> None:
        """Forget the messages of a port that is gone."""
        self._receivers.forget(origin)

    # Which Redis there are

    @property
    def urls(self) -> list[str]:
        """Of those in use, passwords and all."""
        return self._endpoints.urls

    def status(self) -> list[LinkStatus]:
        """How they are."""
        return self._endpoints.statuses

    async def add(self, url: str) -> None:
        """Use one more, and return when it is listened on. It may be in use already.

        With other nodes about, it is published on from the moment that :meth:`use_paths` names it.

        Raises:
            BusUnavailable: it can't be reached within 3 seconds.
            ConfigError: the URL is none, or the Redis refuses this node.
        """
        await self._endpoints.add(url)

    async def retire(self, url: str) -> None:
        """Publish no more on one, and return when it has acknowledged everything, or after a second.

        Raises:
            ConfigError: it is not in use, or no other is left.
        """
        await self._endpoints.retire(url)

    async def remove(self, url: str) -> None:
        """Retire one, and disconnect from it.

        Raises:
            ConfigError: it is not in use, or no other is left.
        """
        await self._endpoints.remove(url)

    # Told by its parts

    def message_dropped(self, why: str | None, count: int = 1) -> None:
        """A message that was published is lost, or several are; ``why`` is None where somebody else tells it."""
        self.dropped += count
        if why is None:
            return
        if count == 1:
            self._warnings.warn("dropped", "a message to other nodes is dropped: %s", why)
        else:
            logger.warning("%d messages to other nodes are dropped: %s", count, why)

    def message_refused(self) -> None:
        """A message that came is not what it should be."""
        self.refused += 1
        self._warnings.warn("refused", "a message that came over the bus has no header of ours, and is lost")

    def messages_missed(self, since: float) -> None:
        """Messages did not come, and those behind them did."""
        self._misses.note(since)

    def _tell_gap(self, info: GapInfo) -> None:
        self.gaps += 1
        try:
            self._owner.gap(info)
        except Exception:
            logger.exception("telling of a gap failed")


class _Misses:
    """Tells of missing messages, at once and then not too often: after an outage every channel may find some."""

    def __init__(self, tell: Callable[[GapInfo], None]) -> None:
        self._tell = tell
        self._since = inf
        self._timer: asyncio.TimerHandle | None = None

    def note(self, since: float) -> None:
        """Messages are missing since then, in seconds of the monotonic clock."""
        self._since = min(self._since, since)
        if self._timer is None:
            self._report()

    def stop(self) -> None:
        """Tell no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report(self) -> None:
        since, self._since, self._timer = self._since, inf, None
        if since == inf:
            return
        self._timer = asyncio.get_running_loop().call_later(_OFTEN, self._report)
        now = time.time()
        self._tell(GapInfo("", now - (time.monotonic() - since), now))
