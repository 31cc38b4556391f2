"""The connection of one node to a bus of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from math import inf
from typing import Protocol

from crosswire.cluster.interface import PortEvents, Receive
from crosswire.cluster.log.interface import LogEvents
from crosswire.cluster.redis.choice import make_choice
from crosswire.cluster.redis.commands import command, publish
from crosswire.cluster.redis.endpoint import Endpoint, ProbeTiming
from crosswire.cluster.redis.endpoint_factory import EndpointFactory
from crosswire.cluster.redis.endpoints import Endpoints
from crosswire.cluster.redis.log.log import RedisLog
from crosswire.cluster.redis.pool import RETURN_TIME, Pool
from crosswire.cluster.send_buffer import Budget
from crosswire.core.channel_names import Channels, text_of
from crosswire.errors import BusUnavailable
from crosswire.runtime import environment
from crosswire.runtime.flusher import Flusher
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings, reason
from crosswire.types import LinkStatus

COUNT_TIMEOUT = 1.0
"""Seconds that a Redis has to answer how many connections listen on a channel."""

FAILOVER_TIME = 0.5
"""Seconds in which messages come over another Redis, after it was noticed that their Redis hangs."""

logger = get_logger("crosswire.redis")


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


class RedisPort:
    """A :class:`~crosswire.cluster.interface.Port` over the Redis of some options, which can be changed while it runs.

    Args:
        options: of the bus.
        events: called when something happens.
        name: of the node.
        origin: 8 bytes, unique.
        budget: of the messages that wait.
        return_time: seconds that other nodes have after an outage to announce that they listen again.
    """

    def __init__(
        self,
        options: PortOptions,
        events: PortEvents,
        name: str,
        origin: bytes,
        budget: Budget,
        return_time: float = RETURN_TIME,
    ) -> None:
        self._options = options
        self._warnings = ThrottledWarnings(logger)
        redundant = options.delivery == "redundant"
        budget.copies = 2 if redundant else 1
        choice = make_choice(options.strategy, budget.copies)
        self.reorders = not choice.ordered
        self._failover_time = options.ping_interval + options.ping_timeout + FAILOVER_TIME
        self._late_until = -inf  # time until which messages may come late though there is only one Redis
        self.wanted: set[bytes] = set()
        self._receivers: dict[bytes, Receive] = {}
        self._pool = Pool(choice, budget, events, return_time)
        self.publish = self._pool.publish
        self.publish_plain = self._pool.publish_plain
        timing = self._timing = ProbeTiming(options.ping_interval, options.ping_timeout)
        probes = Channels(options.prefix).probes(origin.hex())
        self.flusher = Flusher()
        factory = EndpointFactory(name, timing, probes, self.wanted, self._receivers, budget, self.flusher)
        self.available = False  # no property: each call of a node asks for it
        self._endpoints = Endpoints(
            factory, self._pool, events, redundant=redundant, available_changed=self._available_changed
        )

    async def start(self) -> None:
        """Connect. Return when a Redis works and the others have had a little time, or after 2 seconds if none works.

        Raises:
            ConfigError: a Redis refuses the user or password, or its TLS files can't be read.
        """
        await self._endpoints.start(self._options.all_urls)

    async def stop(self) -> None:
        """Wait half a second at most for the acknowledgements of published messages, and disconnect."""
        await self._endpoints.stop()
        self.wanted.clear()
        self._receivers.clear()

    @property
    def hold_time(self) -> float:
        # Others may not know yet that this node removed a Redis: what waits for that one will come over the last one.
        may_be_late = self._endpoints.count > 1 or environment.monotonic() < self._late_until
        return self._failover_time if may_be_late else 0.0

    def _available_changed(self, value: bool) -> None:
        self.available = value

    @property
    def paths(self) -> tuple[str, ...]:
        """The ids of the healthy Redis."""
        return self._endpoints.paths

    def use_paths(self, common: Collection[str] | None) -> None:
        self._pool.prefer(None if common is None else frozenset(common))

    def announce(self, channel: bytes, header: bytes, body: bytes) -> bool:
        connected = self._endpoints.connected
        if connected:
            self._pool.announce(publish(channel, header, body), connected)
        return bool(connected)

    # Listening

    def subscribe(self, channel: bytes, receive: Receive) -> None:
        self.wanted.add(channel)
        self._receivers[channel] = receive
        self._endpoints.changed(channel)

    def unsubscribe(self, channel: bytes) -> None:
        """Unsubscribe from a channel; without ``auto_unsubscribe``, only ignore its messages."""
        if self._options.auto_unsubscribe:
            self.wanted.discard(channel)
        self._receivers.pop(channel, None)
        self._endpoints.changed(channel)

    def is_listening(self, channel: bytes) -> bool:
        """Return whether at least one Redis is healthy, and every healthy Redis has confirmed the subscription."""
        if channel not in self._receivers:
            return False
        healthy = self._endpoints.healthy
        return bool(healthy) and all(endpoint.subscriber.listens(channel) for endpoint in healthy)

    async def wait_listening(self, channel: bytes) -> None:
        """Wait until every healthy Redis has confirmed the subscription, or is not healthy any more.

        Raises:
            BusUnavailable: every healthy Redis refuses it.
        """
        refusals: dict[Endpoint, str] = {}
        for endpoint in self._endpoints.healthy:
            if (error := await endpoint.subscriber.wait_listening(channel)) is not None:
                refusals[endpoint] = error
        if refusals and all(endpoint in refusals for endpoint in self._endpoints.healthy):
            said = "; ".join(f"{endpoint.address.shown} says {error}" for endpoint, error in refusals.items())
            raise BusUnavailable(
                f"no Redis lets this node listen on {text_of(channel)!r}, so it would hear nothing there: "
                f"{said}. Check the ACL of the user that it logs in as"
            )

    async def count_listeners(self, channel: bytes) -> int | None:
        """Count the subscribers of a channel, on the Redis with the most; None if a Redis does not answer."""
        healthy = self._endpoints.healthy
        if not healthy:
            return 0  # no subscriber can be reached
        question = command(b"PUBSUB", b"NUMSUB", channel)
        asked = [endpoint.publisher.ask(question) for endpoint in healthy]
        await asyncio.wait(asked, timeout=COUNT_TIMEOUT)
        counts = [self._count(each) for each in asked]
        known = max((count for count in counts if count is not None), default=0)
        return known if known > 1 or None not in counts else None

    def _count(self, asked: asyncio.Future[object]) -> int | None:
        """Read the reply to PUBSUB NUMSUB; return None if there is no reply, or it is a refusal."""
        reply = asked.result() if asked.done() else None
        if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], int):
            return reply[1]
        if isinstance(reply, Exception):
            text = (
                "a Redis does not tell who listens, so others are waited for in vain: %s. Its ACL needs +pubsub|numsub"
            )
            self._warnings.warn("count", text, reason(reply))
        return None

    # Logs of rooms

    def open_log(self, events: LogEvents) -> RedisLog:
        """Open the logs of rooms; each Redis in use holds those of some rooms."""
        return RedisLog(self._endpoints, self._options.prefix, self._timing, events)

    # Changes

    @property
    def urls(self) -> list[str]:
        """The urls of the Redis in use, with their passwords."""
        return self._endpoints.urls

    def status(self) -> list[LinkStatus]:
        """Return the status of each Redis in use."""
        return self._endpoints.statuses

    async def add(self, url: str) -> None:
        """Use one more Redis, and return when this node listens on it. It may be in use already.

        If there are other nodes, messages are published on it only when :meth:`use_paths` names it.

        Raises:
            BusUnavailable: it can't be reached within 3 seconds.
            ConfigError: the URL is invalid, or the Redis refuses this node.
        """
        await self._endpoints.add(url)

    async def retire(self, url: str) -> None:
        """Stop publishing on a Redis, and return when it has acknowledged everything, or after a second.

        Raises:
            ConfigError: it is not in use, or no other is left.
        """
        await self._endpoints.retire(url)

    async def remove(self, url: str) -> None:
        """Retire a Redis, and disconnect from it.

        Raises:
            ConfigError: it is not in use, or no other is left.
        """
        self._late_until = inf
        try:
            await self._endpoints.remove(url)
        finally:
            self._late_until = environment.monotonic() + self._failover_time
