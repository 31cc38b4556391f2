"""The Redis endpoints of a port: adding and removing them, and their health."""

from __future__ import annotations

import asyncio
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
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.types import GapInfo, LinkStatus, SubscriptionFailure

START_TIMEOUT = 2.0
"""Seconds in which a start waits for the first Redis to work."""
OTHERS_TIMEOUT = 0.5
"""Seconds in which a start waits for the other Redis once one works."""
ADD_TIMEOUT = 3.0
"""Seconds in which an added Redis must work."""
RETIRE_TIMEOUT = 1.0
"""Seconds in which a retired Redis must acknowledge the last messages."""
CLOSE_TIMEOUT = 0.5
"""Seconds in which a stop waits for acknowledgements, and then for the connections to close."""

_BEING_ADDED = "the call that adds it"
"""Member of ``Endpoint.retired_by`` until an added Redis works."""

logger = get_logger("crosswire.redis")


class Endpoints:
    """The endpoints of a port, by the id of their Redis.

    Args:
        factory: makes the endpoints.
        pool: publishes on the usable ones.
        events: the callbacks of the port.
        redundant: whether each message is published on two Redis.
        available_changed: called with what ``available`` is set to.

    Attributes:
        available: whether at least one is healthy.
    """

    def __init__(
        self,
        factory: EndpointFactory,
        pool: Pool,
        events: PortEvents,
        *,
        redundant: bool,
        available_changed: Callable[[bool], None],
    ) -> None:
        self._factory = factory
        self._pool = pool
        self._events = events
        self._redundant = redundant
        self._all: dict[str, Endpoint] = {}
        self._tasks: dict[str, BackgroundTasks] = {}
        self._closing = BackgroundTasks()
        self._embedded: dict[str, EmbeddedRedis] = {}
        self._changed = asyncio.Event()
        self._reported: dict[str, LinkStatus] = {}
        self._paths: tuple[str, ...] = ()
        self._watcher: Callable[[], None] | None = None
        self._warnings = ThrottledWarnings(logger)
        self._available_changed = available_changed
        self.available = self._interrupted = self._stopped = False

    @property
    def count(self) -> int:
        """The number of Redis in use, healthy or not."""
        return len(self._all)

    @property
    def used(self) -> list[Endpoint]:
        """All endpoints, healthy or not, and those that are being added or removed."""
        return list(self._all.values())

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Call ``watcher`` whenever the endpoints, or what they are used for, may have changed; None to call nobody."""
        self._watcher = watcher

    @property
    def healthy(self) -> list[Endpoint]:
        """The endpoints whose last probe came back in time."""
        return [endpoint for endpoint in self._all.values() if endpoint.healthy]

    @property
    def paths(self) -> tuple[str, ...]:
        """The ids of the healthy endpoints that refuse no subscription; if all refuse one, of all healthy endpoints."""
        healthy = self.healthy
        whole = [endpoint for endpoint in healthy if not endpoint.subscriber.refusals]
        return tuple(endpoint.id for endpoint in whole or healthy)

    @property
    def connected(self) -> list[Endpoint]:
        """The endpoints with a publishing connection, healthy or not, except retired ones."""
        return [each for each in self._all.values() if each.publisher.connection.connected and not each.retired]

    @property
    def urls(self) -> list[str]:
        """The URLs of all endpoints, with their passwords."""
        return [endpoint.address.url for endpoint in self._all.values()]

    @property
    def statuses(self) -> list[LinkStatus]:
        """The health of all endpoints, for applications."""
        return [endpoint.status for endpoint in list(self._all.values())]  # this may be another thread

    def changed(self, channel: bytes) -> None:
        """Let every endpoint subscribe to a channel, or unsubscribe from it if it is not wanted any more."""
        for endpoint in self._all.values():
            endpoint.subscriber.change(channel)

    # Adding and removing

    async def start(self, urls: tuple[str, ...]) -> None:
        """Connect to all URLs, and wait for a limited time.

        Raises:
            ConfigError: a URL can't be used, or a Redis refuses this node.
        """
        began, self._stopped = environment.wall_time(), False
        try:
            for url in urls:
                await self._create(url)
            await self._wait_for_start()
        except BaseException:
            await self.stop()
            raise
        for endpoint in self._all.values():
            if not endpoint.healthy:
                endpoint.missed_since = began
        if not self.available:
            self._interrupted = True
            logger.warning("no Redis can be reached: this node is on its own until one can")

    async def stop(self) -> None:
        """Wait for acknowledgements for a limited time, and disconnect."""
        self._stopped = True
        asked = [endpoint.publisher.ask(command(b"PING")) for endpoint in self.connected]
        try:
            if asked:
                await asyncio.wait(asked, timeout=CLOSE_TIMEOUT)
        finally:  # a cancelled stop does not wait, but disconnects
            self._pool.close()
            for endpoint in list(self._all.values()):
                self._begin_discard(endpoint)
            self._set_available(False)
            await self._closing.wait(CLOSE_TIMEOUT)

    async def add(self, url: str) -> None:
        """Use one more Redis, or use a retired Redis again.

        Raises:
            BusUnavailable: the Redis can't be reached, so it is not used.
            ConfigError: the URL can't be used, or the Redis refuses this node.
            NotConnected: the node stops.
        """
        endpoint = self._find(url) or await self._create(url, added=True)
        endpoint.adding += 1
        try:
            await self._wait_until(
                lambda: endpoint.healthy or endpoint.denied is not None or endpoint.discarded, ADD_TIMEOUT
            )
            self._require_working(endpoint)
        except BaseException:
            if endpoint.adding == 1 and _BEING_ADDED in endpoint.retired_by:  # no other call has added it, or will
                await self._discard(endpoint)
            raise
        finally:
            endpoint.adding -= 1
        endpoint.retired_by.clear()
        self._update_pool()

    async def retire(self, url: str) -> None:
        """Stop publishing on a Redis, and wait for its acknowledgements for a limited time.

        Raises:
            ConfigError: the Redis is unknown, or the last one.
        """
        endpoint = self._find(url)
        if endpoint is None:
            raise ConfigError("this Redis is not in use, so it can't be removed: node.redis.status() tells which are")
        if all(each.retired for each in self._all.values() if each is not endpoint):
            raise ConfigError(f"{endpoint.address.shown} is the last Redis: add another one before you remove it")
        acknowledged = endpoint.publisher.ask(command(b"PING"))
        endpoint.retired_by.add(acknowledged)  # which is this call's own
        self._update_pool()
        try:
            await asyncio.wait((acknowledged,), timeout=RETIRE_TIMEOUT)
        except BaseException:
            endpoint.retired_by.discard(acknowledged)
            self._update_pool()
            raise

    async def remove(self, url: str) -> None:
        """Retire a Redis and disconnect from it.

        Raises:
            ConfigError: the Redis is unknown, or the last one.
        """
        await self.retire(url)
        endpoint = self._find(url)
        if endpoint is not None and endpoint.retired:  # no other call has removed it, or added it again
            await self._discard(endpoint)
            self._update_availability()

    async def _create(self, url: str, *, added: bool = False) -> Endpoint:
        """Create the endpoint of a URL and run it; an endpoint that is added later stays retired until it works."""
        embedded, address = await locate(url)
        known = self._all.get(address.id)
        if embedded is not None and (self._stopped or known is not None):
            embedded.release()
        if self._stopped:
            raise NotConnected(f"the node stops, so {address.shown} is not added")
        if known is not None:  # another call was faster
            return known
        endpoint = self._factory.make(address, embedded, self)
        if embedded is not None:
            self._embedded[endpoint.id] = embedded
        if added:
            endpoint.retired_by.add(_BEING_ADDED)
        self._all[endpoint.id] = endpoint
        self._reported[endpoint.id] = endpoint.status
        tasks = self._tasks[endpoint.id] = BackgroundTasks()
        tasks.start(endpoint.run(), f"crosswire redis {address.shown}")
        return endpoint

    async def _discard(self, endpoint: Endpoint) -> None:
        if not endpoint.discarded:  # if it is, another call was faster
            await asyncio.shield(self._begin_discard(endpoint))  # a cancelled caller leaves no connection open

    def _begin_discard(self, endpoint: Endpoint) -> asyncio.Task[None]:
        """Use an endpoint no more, and return the task that disconnects from it."""
        endpoint.discarded = True
        tasks, embedded = self._tasks.pop(endpoint.id), self._embedded.pop(endpoint.id, None)
        del self._all[endpoint.id], self._reported[endpoint.id]
        self._update_pool()
        self._changed.set()
        return self._closing.start(self._close(endpoint, tasks, embedded), "crosswire redis close")

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

    async def _wait_for_start(self) -> None:
        """Wait for the endpoints of a start for a limited time.

        Raises:
            ConfigError: a Redis refuses this node.
        """
        every = self._all.values()

        def denied() -> bool:
            return any(endpoint.denied is not None for endpoint in every)

        await self._wait_until(lambda: self.available or denied(), START_TIMEOUT)
        if self.available:
            await self._wait_until(lambda: all(endpoint.healthy for endpoint in every) or denied(), OTHERS_TIMEOUT)
        for endpoint in every:
            if endpoint.denied is not None:
                raise _denied(endpoint)

    async def _wait_until(self, predicate: Callable[[], bool], timeout: float) -> None:
        """Wait until ``predicate()`` is true, or for ``timeout`` seconds; it is checked at each change."""
        try:
            async with asyncio.timeout(timeout):
                while not predicate():
                    self._changed.clear()
                    await self._changed.wait()
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
                f"{endpoint.address.shown} can't be reached within {ADD_TIMEOUT:g} s, so it is not added: "
                f"{endpoint.last_error or 'it does not answer'}"
            )

    # EndpointEvents

    def endpoint_works(self, endpoint: Endpoint, since: float | None) -> None:
        if endpoint.discarded:
            return
        logger.info("%s is connected", endpoint.address.shown)
        back = not self.available and self._interrupted
        self._set_available(True)
        self._update_pool()
        self._changed.set()
        self._report_health(endpoint)
        self._report_paths()
        if since is not None and not (self._redundant and was_covered(endpoint, self._all.values())):
            self._report(partial(self._events.gap, GapInfo(endpoint.address.shown, since, environment.wall_time())))
        if back:
            self._report(self._events.restored)

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        self._changed.set()
        if endpoint.discarded:
            return
        self._update_availability()
        # In the next turn of the loop, as the other connection is often lost in this turn too.
        asyncio.get_running_loop().call_soon(self._report_health, endpoint)

    def endpoint_measured(self, endpoint: Endpoint) -> None:
        self._pool.measured()

    def publisher_lost(self, endpoint: Endpoint, messages: list[Message], *, was_usable: bool) -> None:
        self._update_pool()
        self._pool.lost(messages)
        if was_usable and not endpoint.discarded:
            self._report(partial(self._events.path_lost, endpoint.id))
        self.endpoint_changed(endpoint)

    def publish_refused(self, endpoint: Endpoint, message: Message, error: str) -> None:
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
        name, shown = text_of(channel), endpoint.address.shown
        self._warnings.warn(
            "subscribe", "%s does not let this node listen on %r: %s. Check its ACL", shown, name, error
        )
        self._report(partial(self._events.subscription_failed, SubscriptionFailure(shown, name, error)))
        self._report_paths()

    def all_subscribed(self, endpoint: Endpoint) -> None:
        self._report_paths()

    def _update_pool(self) -> None:
        self._pool.use([each for each in self._all.values() if each.usable and not each.retired])
        if self._watcher is not None:
            self._report(self._watcher)

    def _update_availability(self) -> None:
        """Update ``available`` after a change, and report the paths."""
        was_available = self.available
        self._set_available(bool(self.healthy))
        self._interrupted |= was_available and not self.available
        self._report_paths()

    def _set_available(self, value: bool) -> None:
        self.available = value
        self._available_changed(value)

    def _report_paths(self) -> None:
        paths, self._paths = self._paths, self.paths
        if paths != self._paths:
            self._report(self._events.paths_changed)

    def _report_health(self, endpoint: Endpoint) -> None:
        if endpoint.discarded:
            return
        before, now = self._reported[endpoint.id], endpoint.status
        self._reported[endpoint.id] = now
        if (before.healthy, before.publisher, before.subscriber) != (now.healthy, now.publisher, now.subscriber):
            self._report(partial(self._events.health_changed, now))

    @staticmethod
    def _report(what: Callable[[], Any]) -> None:
        try:
            what()
        except Exception:
            logger.exception("a callback for the state of a Redis failed")


def _denied(endpoint: Endpoint) -> ConfigError:
    why = (endpoint.denied or "").rstrip(".")
    return ConfigError(f"{endpoint.address.shown} refuses this node: {why}. Check its url and its ACL")
