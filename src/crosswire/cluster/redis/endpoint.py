"""One Redis: its two connections, kept up, and whether what is published there comes back."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple, Protocol

import hiredis

from crosswire.cluster.redis.commands import publish
from crosswire.cluster.redis.dialer import Dialer
from crosswire.cluster.redis.link import Denied, Silent, Unreachable
from crosswire.cluster.redis.publisher import Message, Publisher
from crosswire.cluster.redis.subscriber import Subscriber
from crosswire.cluster.send_buffer import Budget
from crosswire.core.backoff import Backoff
from crosswire.types import LinkStatus

_BACKOFF = Backoff(fast_retries=1, fast_interval=0.05, max_interval=1)
_STABLE = 1.0
"""Seconds that a Redis must have worked for to be tried again without a delay."""

_STEPS = 3
"""Looks at the clock while a probe is awaited. A process that stands still, and so can't hear any answer, misses one
look however long it does."""

_LONGEST = 3
"""Timeouts after which it is found out what becomes of a probe, if all the time something else comes."""

logger = logging.getLogger("crosswire.redis")


class ProbeTiming(NamedTuple):
    """How a Redis is watched.

    Attributes:
        interval: seconds between the probes.
        timeout: seconds without a sign of life that a probe may take.
    """

    interval: float
    timeout: float


class EndpointEvents(Protocol):
    """Whom an endpoint tells. Nothing that it does may raise."""

    def endpoint_works(self, endpoint: Endpoint, since: float | None) -> None:
        """It became healthy; it was not since ``since``, in seconds of real time, or None if nobody counted on it."""

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Its health, or that of a connection, is another; or it was tried in vain."""

    def endpoint_measured(self, endpoint: Endpoint) -> None:
        """Its latency is another."""

    def publisher_lost(self, endpoint: Endpoint, messages: list[Message], *, was_usable: bool) -> None:
        """It can't be published on; these messages were not acknowledged, and will not be."""

    def publish_refused(self, endpoint: Endpoint, message: Message, error: str) -> None:
        """It did not publish a message, and would not another time."""

    def subscription_refused(self, endpoint: Endpoint, channel: bytes, error: str) -> None:
        """It does not let us listen on a channel."""

    def all_subscribed(self, endpoint: Endpoint) -> None:
        """It does on all of them now."""


class _NotHeard(Unreachable):
    """What was published does not come back, though it was acknowledged: we don't hear, and others may."""


class Endpoint:
    """One Redis.

    Args:
        dialer: connects to it.
        timing: how it is watched.
        probe: a channel of this endpoint's own.
        wanted: channels to subscribe to.
        receivers: who takes the messages of a channel.
        budget: of the messages that wait.
        owner: told what happens.

    Attributes:
        id: what means the same Redis on every node.
        healthy: whether all that was published there came back in time.
        usable: whether it can be published on; it may be while it can't be listened on.
        retired: nothing is to be published on it.
        discarded: it is in use no more.
        latency: milliseconds of the last probe's round trip.
        last_error: what went wrong last.
        denied: why it refuses us for good, as far as it is up to it.
        unheard_since: until when everything published there was heard for sure, in seconds of real time, if since then
            something may not have been; None if nothing was missed or nobody counted on it.
        listens_since: since when it is healthy, in seconds of the event loop's time; None while it is not.
        lost_at: when that last ended.
        publisher: publishes there.
        subscriber: listens there.
    """

    def __init__(
        self,
        dialer: Dialer,
        timing: ProbeTiming,
        probe: bytes,
        wanted: Set[bytes],
        receivers: Mapping[bytes, Callable[[bytes], None]],
        budget: Budget,
        owner: EndpointEvents,
    ) -> None:
        self.address = dialer.address
        self.id = dialer.address.id
        self.healthy = self.usable = self.retired = self.discarded = False
        self.latency: float | None = None
        self.last_error: str | None = None
        self.denied: str | None = None
        self.unheard_since: float | None = None
        self.listens_since: float | None = None
        self.lost_at: float | None = None
        self.publisher = Publisher(budget, self)
        self.subscriber = Subscriber(wanted, receivers, probe, self)
        self._dialer = dialer
        self._timing = timing
        self._channel = probe
        self._owner = owner
        self._good_until: float | None = None
        self._probes = 0
        self._sent = 0.0
        self._complained = self._is_busy = False
        loop = asyncio.get_running_loop()
        self._echo: asyncio.Future[None] = loop.create_future()
        self._broken: asyncio.Future[None] = loop.create_future()  # a connection that was there is lost

    @property
    def status(self) -> LinkStatus:
        """How it is."""
        return LinkStatus(
            url=self.address.shown,
            healthy=self.healthy,
            latency=self.latency,
            last_error=self.last_error,
            publisher=self.publisher.line.connected,
            subscriber=self.subscriber.line.connected,
        )

    async def run(self) -> None:
        """Keep it connected, and watch it, until cancelled."""
        attempt = 0
        while True:
            attempt = 0 if await self._work() > _STABLE else attempt + 1
            if attempt:
                await asyncio.sleep(_BACKOFF.delay(attempt, random.random))

    async def close(self) -> None:
        """End the connections, after ``run`` was cancelled."""
        self._complained = True  # nothing is wrong
        await self.publisher.line.close()
        await self.subscriber.line.close()

    # One life

    async def _work(self) -> float:
        """Connect, and watch it until something is wrong. Return how many seconds it worked."""
        began: float | None = None
        try:
            await self._open()
            began = self._time()
            await self._watch()
        except Unreachable as error:
            self._failed(error)
        except Exception as error:  # if it ended the task, this Redis would be given up for ever
            logger.exception("watching %s failed", self.address.shown)
            self._failed(Unreachable(repr(error)))
        return 0.0 if began is None else self._time() - began

    async def _open(self) -> None:
        """Connect what is not connected, and see a probe come back.

        Raises:
            Unreachable: it did not work.
        """
        self._broken = asyncio.get_running_loop().create_future()
        if not self.publisher.line.connected:
            self.publisher.attach(await self._dialer.open("pub"), self._publisher_lost)
        if not self.subscriber.line.connected:
            link = await self._dialer.open("sub")
            subscribed = self.subscriber.attach(link, self._subscriber_lost)
            if not await self._comes(subscribed, lambda: self.subscriber.line.heard):
                raise self._fault(Unreachable("it does not confirm the subscriptions"))
        await self._probe()
        self.healthy = self.usable = True
        self.denied = None
        self._complained = False
        self.listens_since = self._time()
        since, self.unheard_since = self.unheard_since, None
        self._owner.endpoint_works(self, since)

    async def _watch(self) -> None:
        """Probe it until a connection is lost, or only the subscriber does not hear the probe.

        Raises:
            Unreachable: there was no answer.
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
                if isinstance(error, _NotHeard):
                    self.subscriber.line.drop(str(error))
                elif not self._broken.done():
                    raise
                return

    async def _probe(self) -> None:
        """Publish something and see it come back.

        Raises:
            Unreachable: it did not, and the error says whose fault that is.
        """
        self._probes += 1
        echo = self._echo = asyncio.get_running_loop().create_future()
        self._sent, real = time.perf_counter(), time.time()
        acknowledged = self.publisher.ask(publish(self._channel, b"", b"%d" % self._probes))
        acknowledged.add_done_callback(self._acknowledged)

        def heard() -> object:
            return self.subscriber.line.heard if acknowledged.done() else self.publisher.line.heard

        within = f"within {self._timing.timeout:g} s"
        if not await self._comes_back(echo, acknowledged, heard):
            if not acknowledged.done():
                raise self._fault(Unreachable(f"it does not answer {within}"))
            raise self._fault(_NotHeard(f"what is published does not come back {within}"))
        self._good_until = real
        if not await self._comes(acknowledged, heard):
            self.publisher.line.drop(f"what is published is not acknowledged {within}")
            raise self._fault(Unreachable("it is lost"))
        self._owner.endpoint_measured(self)

    async def _comes_back(
        self, echo: asyncio.Future[None], acknowledged: asyncio.Future[Any], heard: Callable[[], object]
    ) -> bool:
        """Wait for the echo of a probe, however much stands before it; tell whether it came."""
        while not (came := await self._comes(echo, heard, _LONGEST)) and not self._broken.done():
            if not self._is_busy:
                break
            if acknowledged.done():
                # It stands before what is asked for now; unless it is another Redis that we listen to.
                await self._comes(self.subscriber.mark(), heard)
                came = echo.done() and not self._broken.done()
                break
        return came

    async def _comes(
        self, awaited: asyncio.Future[Any], heard: Callable[[], object], longest: float = math.inf
    ) -> bool:
        """Wait, as long as the connections last and anything is heard; under load an answer may be far behind.

        Args:
            awaited: is waited for.
            heard: changes when something comes.
            longest: timeouts after which it ends all the same, and ``_is_busy`` is true.
        """
        quiet, before, pace, looks = 0, heard(), self._timing.timeout / _STEPS, 0
        while quiet < _STEPS and looks < _STEPS * longest:
            await asyncio.wait((awaited, self._broken), timeout=pace, return_when=asyncio.FIRST_COMPLETED)
            if awaited.done() or self._broken.done():
                break
            quiet, before = (quiet + 1, before) if heard() == before else (0, heard())
            looks += 1
        self._is_busy = quiet < _STEPS
        return awaited.done() and not self._broken.done()

    # What happens meanwhile

    def _acknowledged(self, acknowledged: asyncio.Future[Any]) -> None:
        reply = acknowledged.result()
        if isinstance(reply, hiredis.ReplyError):
            self._failed(_refusal("a probe can't be published", str(reply)))

    def echoed(self, body: bytes) -> None:
        """A probe came back."""
        if body == b"%d" % self._probes and not self._echo.done():
            self.latency = (time.perf_counter() - self._sent) * 1000  # the event loop's time is too coarse for it
            self._echo.set_result(None)

    def subscription_refused(self, channel: bytes, error: str) -> None:
        """It does not let us listen on a channel."""
        if channel == self._channel:
            self._failed(_refusal("the channel of the probes can't be subscribed to", error))
        else:
            self.last_error = error
            self._owner.subscription_refused(self, channel, error)

    def all_subscribed(self) -> None:
        """It lets us listen on all channels now."""
        self._owner.all_subscribed(self)

    def publish_refused(self, message: Message, error: str) -> None:
        """It did not publish a message."""
        self.last_error = error
        self._owner.publish_refused(self, message, error)

    def _publisher_lost(self, reason: str) -> None:
        was_usable, self.usable = self.usable, False
        messages = self.publisher.detach()
        self._broke(reason)
        self._owner.publisher_lost(self, messages, was_usable=was_usable)

    def _subscriber_lost(self, reason: str) -> None:
        self.subscriber.detach()
        self.unheard_since = self.unheard_since or self._good_until
        self._broke(reason)
        self._owner.endpoint_changed(self)

    def _broke(self, reason: str) -> None:
        self._complain(reason)
        if self.healthy:
            self.healthy = False
            self.listens_since, self.lost_at = None, self._time()
        if not self._broken.done():
            self._broken.set_result(None)

    def _failed(self, error: Unreachable) -> None:
        """It can't be used: begin anew."""
        reason = str(error)
        if isinstance(error, Denied):
            self.denied = reason
        self._complain(reason)
        # If only the publisher is lost, and another one could not be opened at once, the subscriber may well be all
        # right. The next probe will tell.
        both = self.publisher.line.connected or isinstance(error, Silent)
        self.publisher.line.drop(reason)
        if both:
            self.subscriber.line.drop(reason)
        self._owner.endpoint_changed(self)

    def _complain(self, reason: str) -> None:
        self.last_error = reason
        if not self._complained:
            self._complained = True
            logger.warning("%s can't be used: %s", self.address.shown, reason)

    def _fault(self, error: Unreachable) -> Unreachable:
        """Return an error, or what was the matter before it."""
        return Unreachable(self.last_error or "a connection was lost") if self._broken.done() else error

    def _time(self) -> float:
        return asyncio.get_running_loop().time()


def _refusal(what: str, error: str) -> Unreachable:
    kind = Denied if error.startswith(("NOPERM", "NOAUTH")) else Unreachable
    return kind(f"{what}: {error}")
