"""A member of a bus for tests: its port, the messages that came, and the events of the port."""

from __future__ import annotations

import secrets

from crosswire.cluster.interface import Bus
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.envelopes import ORIGIN_SIZE
from crosswire.testing.recording import eventually
from crosswire.types import GapInfo, LinkStatus, SubscriptionFailure

CHANNEL = b"cw:test"


class BusMember:
    """A port with the messages that it received and the events that it reported.

    Attributes:
        port: the member's connection to the bus.
        received: channel and body of each message, in the order in which they came.
        events: name and value of each event, in their order.
    """

    def __init__(self, bus: Bus, name: str) -> None:
        self.received: list[tuple[bytes, bytes]] = []
        self.events: list[tuple[str, object]] = []
        self.port = OrderedPort(bus, self, name, secrets.token_bytes(ORIGIN_SIZE))

    def bodies(self, channel: bytes = CHANNEL) -> list[bytes]:
        """Return the bodies that came on a channel."""
        return [body for where, body in self.received if where == channel]

    def subscribe(self, channel: bytes = CHANNEL, *, plain: bool = False) -> None:
        """Record the messages of a channel."""
        self.port.subscribe(channel, lambda body: self.received.append((channel, body)), plain=plain)

    async def listen(self, *channels: bytes, plain: bool = False) -> None:
        """Record the messages of channels; return when the port listens there."""
        for channel in channels or (CHANNEL,):
            self.subscribe(channel, plain=plain)
        for channel in channels or (CHANNEL,):
            await self.port.wait_listening(channel)

    async def receives(self, *bodies: bytes, channel: bytes = CHANNEL) -> None:
        """Wait for as many messages on a channel; fail if they are not these."""
        await eventually(lambda: len(self.bodies(channel)) >= len(bodies), f"{len(bodies)} messages arrive")
        assert self.bodies(channel) == list(bodies)

    # BusEvents

    def paths_changed(self) -> None:
        self.events.append(("paths changed", self.port.paths))

    def path_lost(self, path: str) -> None:
        self.events.append(("path lost", path))

    def restored(self) -> None:
        self.events.append(("restored", None))

    def gap(self, info: GapInfo) -> None:
        self.events.append(("gap", info))

    def health_changed(self, status: LinkStatus) -> None:
        self.events.append(("health changed", status))

    def subscription_failed(self, failure: SubscriptionFailure) -> None:
        self.events.append(("subscription failed", failure))
