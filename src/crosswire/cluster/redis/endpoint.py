"""A Redis of a port: its two connections, and the probes that measure its health."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple, Protocol

import hiredis

from crosswire.cluster.redis.commands import publish
from crosswire.cluster.redis.dialer import Dialer
from crosswire.cluster.redis.link import Denied, Unreachable, Unresponsive
from crosswire.cluster.redis.publisher import Message, Publisher
from crosswire.cluster.redis.reconnecting import keep_connected
from crosswire.cluster.redis.subscriber import Subscriber
from crosswire.cluster.send_buffer import Budget
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger
from crosswire.types import LinkStatus

_STABLE_TIME = 1.0
"""Seconds for which a Redis must have worked to be connected again without a delay."""

_CHECKS = 3
"""Number of checks for a sign of life within the timeout of a probe. If the process stands still for a while, it misses
only one check, not all."""

_MAX_BUSY_TIMEOUTS = 3
"""Number of timeouts after which a probe counts as lost even if other replies still arrive."""

logger = get_logger("crosswire.redis")


class ProbeTiming(NamedTuple):
    """The interval and timeout of probes.

    Attributes:
        interval: seconds between the probes.
        timeout: seconds without a sign of life that a probe may take.
    """

    interval: float
    timeout: float


class EndpointEvents(Protocol):
    """Callbacks of an endpoint. None of them may raise."""

    def endpoint_works(self, endpoint: Endpoint, since: float | None) -> None:
        """Handle an endpoint that became healthy.

        Args:
            endpoint: the endpoint.
            since: seconds of real time since which messages may have been missed; None if none were.
        """

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Handle a change of the health of an endpoint or its connections, or a failed attempt to connect."""

    def endpoint_measured(self, endpoint: Endpoint) -> None:
        """Handle a new latency, that of the last probe."""

    def publisher_lost(self, endpoint: Endpoint, messages: list[Message], *, was_usable: bool) -> None:
        """Take back the messages that were not acknowledged when the publisher was lost."""

    def publish_refused(self, endpoint: Endpoint, message: Message, error: str) -> None:
        """Handle a message that the Redis refused to publish, and would refuse again."""

    def subscription_refused(self, endpoint: Endpoint, channel: bytes, error: str) -> None:
        """Handle a channel to which the Redis does not let this node subscribe."""

    def all_subscribed(self, endpoint: Endpoint) -> None:
        """Handle the end of the last refusal of a subscription."""


class _EchoMissing(Unreachable):
    """A probe was acknowledged, but did not come back: the subscriber is at fault."""


class Endpoint:
    """A Redis that a port uses: connects to it, probes it, and reports its health.

    Args:
        dialer: connects to the Redis.
        timing: interval and timeout of the probes.
        probe: the channel of the probes, which no other endpoint uses.
        wanted: channels to subscribe to.
        receivers: callbacks for the messages of the channels.
        budget: limits the messages that wait.
        events: the callbacks.

    Attributes:
        id: the name of the Redis, the same on every node.
        dialer: connects to it.
        healthy: whether the last probe came back in time.
        usable: whether it can be published on, perhaps without a working subscriber.
        adding: how many calls that add it wait until it works.
        retired_by: the calls that do not want messages to be published on it any more, or not yet.
        discarded: whether it was removed.
        latency: milliseconds of the round trip of the last probe.
        last_error: the text of the last error.
        denied: the reason for which the Redis refuses this node until somebody changes the configuration.
        missed_since: seconds of real time since which messages may have been missed; None if none were.
        listens_since: loop time since which it is healthy; None while it is not.
        lost_at: loop time at which it was last healthy.
        publisher: its publishing connection.
        subscriber: its subscribing connection.
    """

    def __init__(
        self,
        dialer: Dialer,
        timing: ProbeTiming,
        probe: bytes,
        wanted: Set[bytes],
        receivers: Mapping[bytes, Callable[[bytes], None]],
        budget: Budget,
        events: EndpointEvents,
    ) -> None:
        self.address = dialer.address
        self.id = dialer.address.id
        self.healthy = self.usable = self.discarded = False
        self.adding = 0
        self.retired_by: set[object] = set()
        self.latency: float | None = None
        self.last_error: str | None = None
        self.denied: str | None = None
        self.missed_since: float | None = None
        self.listens_since: float | None = None
        self.lost_at: float | None = None
        self.publisher = Publisher(budget, self)
        self.subscriber = Subscriber(wanted, receivers, probe, self)
        self.dialer = dialer
        self._timing = timing
        self._channel = probe
        self._events = events
        self._received_until: float | None = None
        self._probes = 0
        self._nonce = environment.token_hex(8).encode()  # nobody can guess which probe comes next
        self._probe_sent = 0.0
        self._failure_logged = self._is_busy = False
        loop = asyncio.get_running_loop()
        self._echo: asyncio.Future[None] = loop.create_future()
        self._broken: asyncio.Future[None] = loop.create_future()  # done when an open connection is lost

    @property
    def retired(self) -> bool:
        """Whether no more messages are published on the Redis."""
        return bool(self.retired_by)

    @property
    def status(self) -> LinkStatus:
        """The health of the Redis, for applications."""
        return LinkStatus(
            url=self.address.shown,
            healthy=self.healthy,
            latency=self.latency,
            last_error=self.last_error,
            publisher=self.publisher.connection.connected,
            subscriber=self.subscriber.connection.connected,
        )

    async def run(self) -> None:
        """Connect and probe the Redis, again after each failure, until cancelled."""
        await keep_connected(self._run_once, _STABLE_TIME)

    async def close(self) -> None:
        """Close the connections, after ``run`` was cancelled."""
        self._failure_logged = True  # the end is not a failure
        await self.publisher.connection.close()
        await self.subscriber.connection.close()

    # One connection

    async def _run_once(self) -> float:
        """Connect, and probe the Redis until that fails. Return the seconds for which it worked."""
        began: float | None = None
        try:
            await self._connect()
            began = self._time()
            await self._watch()
        except Unreachable as error:
            self._fail(error)
        except Exception as error:  # must not end the task, or this Redis would never be used again
            logger.exception("watching %s failed", self.address.shown)
            self._fail(Unreachable(repr(error)))
        return 0.0 if began is None else self._time() - began

    async def _connect(self) -> None:
        """Open the missing connections, and wait for the echo of a probe.

        Raises:
            Unreachable: a connection or the probe failed.
        """
        self._broken = asyncio.get_running_loop().create_future()
        if not self.publisher.connection.connected:
            self.publisher.attach(await self.dialer.open("pub"), self._publisher_lost)
        if not self.subscriber.connection.connected:
            link = await self.dialer.open("sub")
            subscribed = self.subscriber.attach(link, self._subscriber_lost)
            if not await self._wait_while_alive(subscribed, lambda: self.subscriber.connection.heard):
                raise self._cause_of(Unreachable("it does not confirm the subscriptions"))
        await self._probe()
        self.healthy = self.usable = True
        self.denied = None
        self._failure_logged = False
        self.listens_since = self._time()
        since, self.missed_since = self.missed_since, None
        self._events.endpoint_works(self, since)

    async def _watch(self) -> None:
        """Send probes until a connection is lost, or until the subscriber alone misses one.

        Raises:
            Unreachable: the Redis did not answer.
        """
        due = self._time()
        while True:
            due = max(due + self._timing.interval, self._time())
            await asyncio.wait((self._broken,), timeout=due - self._time())
            if self._broken.done():
                return
            try:
                await self._probe()
            except Unreachable as error:
                if isinstance(error, _EchoMissing):
                    self.subscriber.connection.drop(str(error))
                elif not self._broken.done():
                    raise
                return

    def _probe_body(self) -> bytes:
        return b"%d-%b" % (self._probes, self._nonce)

    async def _probe(self) -> None:
        """Publish a probe and wait until it comes back.

        Raises:
            Unreachable: the probe did not come back; an ``_EchoMissing`` if only the subscriber is at fault.
        """
        self._probes += 1
        echo = self._echo = asyncio.get_running_loop().create_future()
        self._probe_sent, real = environment.perf_counter(), environment.wall_time()
        acknowledged = self.publisher.ask(publish(self._channel, b"", self._probe_body()))
        acknowledged.add_done_callback(self._acknowledged)

        def heard() -> object:
            return self.subscriber.connection.heard if acknowledged.done() else self.publisher.connection.heard

        within = f"within {self._timing.timeout:g} s"
        if not await self._wait_for_echo(echo, acknowledged, heard):
            if not acknowledged.done():
                raise self._cause_of(Unreachable(f"it does not answer {within}"))
            raise self._cause_of(_EchoMissing(f"a published message does not come back {within}"))
        self._received_until = real
        if not await self._wait_while_alive(acknowledged, heard):
            self.publisher.connection.drop(f"a PUBLISH is not acknowledged {within}")
            raise self._cause_of(Unreachable("the connection is lost"))
        self._events.endpoint_measured(self)

    async def _wait_for_echo(
        self, echo: asyncio.Future[None], acknowledged: asyncio.Future[Any], heard: Callable[[], object]
    ) -> bool:
        """Wait for the echo of a probe while other messages arrive; return whether it came."""
        while not (came := await self._wait_while_alive(echo, heard, _MAX_BUSY_TIMEOUTS)) and not self._broken.done():
            if not self._is_busy:
                break
            if acknowledged.done():
                # The echo comes before the reply to this PING, unless the subscriber is connected to another Redis.
                await self._wait_while_alive(self.subscriber.ping(), heard)
                came = echo.done() and not self._broken.done()
                break
        return came

    async def _wait_while_alive(
        self, awaited: asyncio.Future[Any], heard: Callable[[], object], max_timeouts: float = math.inf
    ) -> bool:
        """Wait for a future while the connections last and replies arrive; return whether it is done.

        Args:
            awaited: the future.
            heard: returns a value that changes with each read.
            max_timeouts: number of timeouts after which the wait ends, with ``_is_busy`` set, even if replies still
                arrive.
        """
        quiet, before, pace, looks = 0, heard(), self._timing.timeout / _CHECKS, 0
        while quiet < _CHECKS and looks < _CHECKS * max_timeouts:
            await asyncio.wait((awaited, self._broken), timeout=pace, return_when=asyncio.FIRST_COMPLETED)
            if awaited.done() or self._broken.done():
                break
            quiet, before = (quiet + 1, before) if heard() == before else (0, heard())
            looks += 1
        self._is_busy = quiet < _CHECKS
        return awaited.done() and not self._broken.done()

    # Callbacks of the connections

    def _acknowledged(self, acknowledged: asyncio.Future[Any]) -> None:
        reply = acknowledged.result()
        if isinstance(reply, hiredis.ReplyError):
            self._fail(_refusal_error("a probe can't be published", str(reply)))

    def echoed(self, body: bytes) -> None:
        """Measure the latency of a probe that came back."""
        if body == self._probe_body() and not self._echo.done():
            # Not by the event loop's clock, which is too coarse.
            self.latency = (environment.perf_counter() - self._probe_sent) * 1000
            self._echo.set_result(None)

    def subscription_refused(self, channel: bytes, error: str) -> None:
        """Report a refused channel; without the channel of the probes the Redis can't be used."""
        if channel == self._channel:
            self._fail(_refusal_error("the channel of the probes can't be subscribed to", error))
        else:
            self.last_error = error
            self._events.subscription_refused(self, channel, error)

    def all_subscribed(self) -> None:
        """Report that no subscription is refused any more."""
        self._events.all_subscribed(self)

    def publish_refused(self, message: Message, error: str) -> None:
        """Report a message that the Redis refused to publish."""
        self.last_error = error
        self._events.publish_refused(self, message, error)

    def _publisher_lost(self, reason: str) -> None:
        was_usable, self.usable = self.usable, False
        messages = self.publisher.detach()
        self._mark_broken(reason)
        self._events.publisher_lost(self, messages, was_usable=was_usable)

    def _subscriber_lost(self, reason: str) -> None:
        self.subscriber.detach()
        self.missed_since = self.missed_since or self._received_until
        self._mark_broken(reason)
        self._events.endpoint_changed(self)

    def _mark_broken(self, reason: str) -> None:
        self._log_failure(reason)
        if self.healthy:
            self.healthy = False
            self.listens_since, self.lost_at = None, self._time()
        if not self._broken.done():
            self._broken.set_result(None)

    def _fail(self, error: Unreachable) -> None:
        """Close the connections after an error, so that they are opened again."""
        reason = str(error)
        if isinstance(error, Denied):
            self.denied = reason
        self._log_failure(reason)
        # If only the publisher was lost, and could not be opened again at once, the subscriber may still work: the
        # next probe decides.
        both = self.publisher.connection.connected or isinstance(error, Unresponsive)
        self.publisher.connection.drop(reason)
        if both:
            self.subscriber.connection.drop(reason)
        self._events.endpoint_changed(self)

    def _log_failure(self, reason: str) -> None:
        self.last_error = reason
        if not self._failure_logged:
            self._failure_logged = True
            logger.warning("%s can't be used: %s", self.address.shown, reason)

    def _cause_of(self, error: Unreachable) -> Unreachable:
        """Return the error, or the reason of a lost connection that caused it."""
        return Unreachable(self.last_error or "a connection was lost") if self._broken.done() else error

    def _time(self) -> float:
        return asyncio.get_running_loop().time()


def _refusal_error(what: str, error: str) -> Unreachable:
    kind = Denied if error.startswith(("NOPERM", "NOAUTH")) else Unreachable
    return kind(f"{what}: {error}")
