"""All the Redis of one port: which there are, which of them work, and who is told of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from crosswire.cluster.interface import PortEvents
from crosswire.cluster.redis.address import parse
from crosswire.cluster.redis.application import application_of, is_embedded
from crosswire.cluster.redis.commands import channel_of, command
from crosswire.cluster.redis.coverage import was_covered
from crosswire.cluster.redis.embedded.database import EmbeddedRedis
from crosswire.cluster.redis.endpoint import Endpoint
from crosswire.cluster.redis.endpoint_factory import EndpointFactory, locate
from crosswire.cluster.redis.pool import Pool
from crosswire.cluster.redis.publisher import Message, command_of
from crosswire.core.channel_names import text_of
from crosswire.errors import BusUnavailable, ConfigError, NotConnected
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.types import GapInfo, LinkStatus, SubscriptionFailure

_START = 2.0
"""Seconds that a start takes at most."""
_FAIR_CHANCE = 0.5
"""Seconds that the others get when one Redis works."""
_ADD = 3.0
_RETIRE = 1.0
_GOODBYE = 0.5

logger = logging.getLogger("crosswire.redis")


class Endpoints:
    """The Redis of one port.

    Args:
        factory: makes their endpoints.
        pool: publishes on those that work.
        events: called when something happens.
        redundant: whether each message is published on two.

    Attributes:
        available: whether one is healthy.
    """

    def __init__(self, factory: EndpointFactory, pool: Pool, events: PortEvents, *, redundant: bool) -> None:
        self._factory = factory
        self._pool = pool
        self._events = events
        self._redundant = redundant
        self._all: dict[str, Endpoint] = {}
        self._tasks: dict[str, BackgroundTasks] = {}
        self._closing = BackgroundTasks()
        self._embedded: dict[str, EmbeddedRedis] = {}
        self._news = asyncio.Event()
        self._told: dict[str, LinkStatus] = {}
        self._paths: tuple[str, ...] = ()
        self._warnings = ThrottledWarnings(logger)
        self.available = self._interrupted = self._stopped = False

    @property
    def count(self) -> int:
        """The number of Redis in use, healthy or not."""
        return len(self._all)

    @property
    def healthy(self) -> list[Endpoint]:
        """Those that are."""
        return [endpoint for endpoint in self._all.values() if endpoint.healthy]

    @property
    def paths(self) -> tuple[str, ...]:
        """The ids of those on which this port hears all it wants to, or else of all that are healthy."""
        healthy = self.healthy
        whole = [endpoint for endpoint in healthy if not endpoint.subscriber.refusals]
        return tuple(endpoint.id for endpoint in whole or healthy)

    @property
    def connected(self) -> list[Endpoint]:
        """Those that can be published on, though perhaps in vain."""
        return [each for each in self._all.values() if each.publisher.line.connected and not each.retired]

    @property
    def urls(self) -> list[str]:
        """Of all, with their passwords."""
        return [endpoint.address.url for endpoint in self._all.values()]

    @property
    def statuses(self) -> list[LinkStatus]:
        """How they are."""
        return [endpoint.status for endpoint in self._all.values()]

    def changed(self, channel: bytes) -> None:
        """A channel is wanted, or not any more."""
        for endpoint in self._all.values():
            endpoint.subscriber.change(channel)

    # Which there are

    async def start(self, urls: tuple[str, ...]) -> None:
        """Connect to all of these, and wait a while for it.

        Raises:
            ConfigError: one can't be used as it is configured.
        """
        began, self._stopped = time.time(), False
        try:
            for url in urls:
                await self._make(url)
            await self._settle()
        except BaseException:
            await self.stop()
            raise
        for endpoint in self._all.values():
            if not endpoint.healthy:
                endpoint.unheard_since = began
        if not self.available:
            self._interrupted = True
            logger.warning("no Redis can be reached: this node is on its own until one can")

    async def stop(self) -> None:
        """Disconnect, when what was published is acknowledged, or soon."""
        self._stopped = True
        asked = [endpoint.publisher.ask(command(b"PING")) for endpoint in self.connected]
        try:
            if asked:
                await asyncio.wait(asked, timeout=_GOODBYE)
        finally:  # who is cancelled does not wait for them, and disconnects all the same
            self._pool.close()
            for endpoint in list(self._all.values()):
                await self._discard(endpoint)
            await self._closing.wait(_GOODBYE)
            self.available = False

    async def add(self, url: str) -> None:
        """Use one more; also one that was retired.

        Raises:
            BusUnavailable: it can't be reached; it is not used then.
            ConfigError: it can't be used at all.
            NotConnected: the node stops.
        """
        known = self._find(url)
        endpoint = known if known is not None else await self._make(url, added=True)
        try:
            await self._until(lambda: endpoint.healthy or endpoint.denied is not None or endpoint.discarded, _ADD)
            self._require_working(endpoint)
        except BaseException:
            if known is None and endpoint.retired:  # else somebody else has added it meanwhile
                await self._discard(endpoint)
            raise
        endpoint.retired = False
        self._use()

    async def retire(self, url: str) -> None:
        """Publish no more on one, and wait until it has acknowledged everything, or for a second.

        Raises:
            ConfigError: it is unknown, or no other is left.
        """
        endpoint = self._find(url)
        if endpoint is None:
            raise ConfigError("this Redis is not in use, so it can't be removed: node.redis.status() tells which are")
        if all(each.retired for each in self._all.values() if each is not endpoint):
            raise ConfigError(f"{endpoint.address.shown} is the last Redis: add another one before you remove it")
        before, endpoint.retired = endpoint.retired, True
        self._use()
        try:
            await asyncio.wait((endpoint.publisher.ask(command(b"PING")),), timeout=_RETIRE)
        except BaseException:
            endpoint.retired = before
            self._use()
            raise

    async def remove(self, url: str) -> None:
        """Use one no more.

        Raises:
            ConfigError: it is unknown, or the last one.
        """
        await self.retire(url)
        endpoint = self._find(url)
        if endpoint is not None and endpoint.retired:  # nobody else was faster, or has added it again
            await self._discard(endpoint)
            self._review()

    async def _make(self, url: str, *, added: bool = False) -> Endpoint:
        """Connect to one; what is added to others counts for nothing before it works."""
        embedded, address = await locate(url)
        known = self._all.get(address.id)
        if embedded is not None and (self._stopped or known is not None):
            embedded.release()
        if self._stopped:
            raise NotConnected(f"the node stops, so {address.shown} is not added")
        if known is not None:  # somebody else was faster
            return known
        endpoint = self._factory.make(address, embedded, self)
        if embedded is not None:
            self._embedded[endpoint.id] = embedded
        endpoint.retired = added
        self._all[endpoint.id] = endpoint
        self._told[endpoint.id] = endpoint.status
        tasks = self._tasks[endpoint.id] = BackgroundTasks()
        tasks.start(endpoint.run(), f"crosswire redis {address.shown}")
        return endpoint

    async def _discard(self, endpoint: Endpoint) -> None:
        if endpoint.discarded:  # somebody else was faster
            return
        endpoint.discarded = True
        tasks, embedded = self._tasks.pop(endpoint.id), self._embedded.pop(endpoint.id, None)
        del self._all[endpoint.id], self._told[endpoint.id]
        self._use()
        self._news.set()
        closing = self._closing.start(self._close(endpoint, tasks, embedded), "crosswire redis close")
        await asyncio.shield(closing)  # who is cancelled leaves nothing half closed

    @staticmethod
    async def _close(endpoint: Endpoint, tasks: BackgroundTasks, embedded: EmbeddedRedis | None) -> None:
        await tasks.cancel()
        await endpoint.close()
        if embedded is not None:
            embedded.release()

    def _find(self, url: str) -> Endpoint | None:
        if is_embedded(url):
            application = application_of(url)
            return next((each for each in self._all.values() if each.address.alias == application), None)
        return self._all.get(parse(url).id)

    async def _settle(self) -> None:
        """Wait for a start.

        Raises:
            ConfigError: one can't be used as it is configured.
        """
        every = self._all.values()

        def wrong() -> bool:
            return any(endpoint.denied is not None for endpoint in every)

        await self._until(lambda: self.available or wrong(), _START)
        if self.available:
            await self._until(lambda: all(endpoint.healthy for endpoint in every) or wrong(), _FAIR_CHANCE)
        for endpoint in every:
            if endpoint.denied is not None:
                raise _denied(endpoint)

    async def _until(self, predicate: Callable[[], bool], timeout: float) -> None:
        """Wait until something holds, or the time is over."""
        try:
            async with asyncio.timeout(timeout):
                while not predicate():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    @staticmethod
    def _require_working(endpoint: Endpoint) -> None:
        if endpoint.discarded:
            raise BusUnavailable(f"{endpoint.address.shown} was removed before it could be used")
        if endpoint.denied is not None:
            raise _denied(endpoint)
        if not endpoint.healthy:
            raise BusUnavailable(
                f"{endpoint.address.shown} can't be reached within {_ADD:g} s, so it is not added: "
                f"{endpoint.last_error or 'it does not answer'}"
            )

    # EndpointEvents

    def endpoint_works(self, endpoint: Endpoint, since: float | None) -> None:
        """It became healthy."""
        if endpoint.discarded:
            return
        logger.info("%s is connected", endpoint.address.shown)
        back, self.available = not self.available and self._interrupted, True
        self._use()
        self._news.set()
        self._tell_health(endpoint)
        self._tell_paths()
        if since is not None and not (self._redundant and was_covered(endpoint, self._all.values())):
            self._tell(partial(self._events.gap, GapInfo(endpoint.address.shown, since, time.time())))
        if back:
            self._tell(self._events.restored)

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Its health, or that of a connection, is another."""
        self._news.set()
        if endpoint.discarded:
            return
        self._review()
        # In a later turn: the other connection is often lost in this one too.
        asyncio.get_running_loop().call_soon(self._tell_health, endpoint)

    def endpoint_measured(self, endpoint: Endpoint) -> None:
        """Its latency is another."""
        self._pool.measured()

    def publisher_lost(self, endpoint: Endpoint, messages: list[Message], *, was_usable: bool) -> None:
        """It can't be published on."""
        self._use()
        self._pool.lost(messages)
        if was_usable and not endpoint.discarded:
            self._tell(partial(self._events.path_lost, endpoint.id))
        self.endpoint_changed(endpoint)

    def publish_refused(self, endpoint: Endpoint, message: Message, error: str) -> None:
        """A message was not published."""
        elsewhere = self._pool.refused(endpoint, message)
        self._warnings.warn(
            "publish",
            "%s refuses to publish on %r: %s. The message is %s: check its ACL",
            endpoint.address.shown,
            text_of(channel_of(command_of(message))),
            error,
            "published on another Redis" if elsewhere else "lost",
        )

    def subscription_refused(self, endpoint: Endpoint, channel: bytes, error: str) -> None:
        """A channel can't be heard."""
        name, shown = text_of(channel), endpoint.address.shown
        self._warnings.warn(
            "subscribe", "%s does not let this node listen on %r: %s. Check its ACL", shown, name, error
        )
        self._tell(partial(self._events.subscription_failed, SubscriptionFailure(shown, name, error)))
        self._tell_paths()

    def all_subscribed(self, endpoint: Endpoint) -> None:
        """All channels can be heard."""
        self._tell_paths()

    def _use(self) -> None:
        self._pool.use([each for each in self._all.values() if each.usable and not each.retired])

    def _review(self) -> None:
        """Find out what is left."""
        available, self.available = self.available, bool(self.healthy)
        self._interrupted |= available and not self.available
        self._tell_paths()

    def _tell_paths(self) -> None:
        paths, self._paths = self._paths, self.paths
        if paths != self._paths:
            self._tell(self._events.paths_changed)

    def _tell_health(self, endpoint: Endpoint) -> None:
        if endpoint.discarded:
            return
        before, now = self._told[endpoint.id], endpoint.status
        self._told[endpoint.id] = now
        if (before.healthy, before.publisher, before.subscriber) != (now.healthy, now.publisher, now.subscriber):
            self._tell(partial(self._events.health_changed, now))

    @staticmethod
    def _tell(what: Callable[[], Any]) -> None:
        try:
            what()
        except Exception:
            logger.exception("telling of a Redis failed")


def _denied(endpoint: Endpoint) -> ConfigError:
    why = (endpoint.denied or "").rstrip(".")
    return ConfigError(f"{endpoint.address.shown} refuses this node: {why}. Check its url and its ACL")
