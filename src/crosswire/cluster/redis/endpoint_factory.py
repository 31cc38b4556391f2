"""Makes the endpoints of one port."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from crosswire.cluster.interface import Receive
from crosswire.cluster.redis.address import Address, parse
from crosswire.cluster.redis.application import application_of, described, is_embedded
from crosswire.cluster.redis.dialer import Dialer
from crosswire.cluster.redis.embedded.database import EmbeddedRedis
from crosswire.cluster.redis.endpoint import Endpoint, EndpointEvents, ProbeTiming
from crosswire.cluster.send_buffer import Budget
from crosswire.runtime.flusher import Flusher
from crosswire.runtime.log_records import get_logger

CONNECT_TIMEOUT = 1.0
"""Seconds in which a connection to a Redis must be made and logged in."""

logger = get_logger("crosswire.redis")


class EndpointFactory:
    """Makes the endpoints of one port.

    Args:
        node: the name of the node, under which Redis lists its connections.
        timing: of the probes.
        probes: the beginning of the names of the channels of the probes, which no other port uses.
        wanted: the channels to subscribe to; the port changes it.
        receivers: take the messages of the channels; the port changes it.
        budget: of the messages that wait.
        flusher: writes what is published at the end of a turn.
    """

    def __init__(
        self,
        node: str,
        timing: ProbeTiming,
        probes: bytes,
        wanted: Set[bytes],
        receivers: Mapping[bytes, Receive],
        budget: Budget,
        flusher: Flusher,
    ) -> None:
        self._node = node
        self._timing = timing
        self._probes = probes
        self._wanted = wanted
        self._receivers = receivers
        self._budget = budget
        self._flusher = flusher
        self._made = 0

    def make(self, address: Address, embedded: EmbeddedRedis | None, events: EndpointEvents) -> Endpoint:
        """Make the endpoint for an address. An embedded Valkey is started before each connection if it has ended."""
        self._made += 1
        revive = None if embedded is None else embedded.acquire
        dialer = Dialer(address, self._node, CONNECT_TIMEOUT, revive, self._flusher)
        probe = b"%b:%d" % (self._probes, self._made)
        return Endpoint(dialer, self._timing, probe, self._wanted, self._receivers, self._budget, events)


async def locate(url: str) -> tuple[EmbeddedRedis | None, Address]:
    """Return the address of a Redis. If it is an embedded Valkey, start the Valkey, and return it too.

    Raises:
        ConfigError: the URL can't be used.
    """
    if not is_embedded(url):
        return None, parse(url)
    application = application_of(url)
    embedded = EmbeddedRedis(application)
    place = parse(await embedded.acquire())
    logger.info("%s: a Valkey for %s (%s)", application, described(application), place.path)
    return embedded, replace(place, url=application, alias=application)
