"""A member of a bus, as tests look at it: its port, what came and what the port told."""

from __future__ import annotations

import secrets

from crosswire.cluster.interface import Bus, Port
from crosswire.core.envelopes import ORIGIN_SIZE
from crosswire.testing.recorder import eventually
from crosswire.types import GapInfo, LinkStatus, SubscriptionFailure

CHANNEL = b"cw:test"


class BusMember:
    """A port with what it received and what it told.

    Attributes:
        port: of the bus.
        got: channel and body of each message, in the order in which they came.
        told: what the port told its owner: what happened, and the value that came with it.
    """

    def __init__(self, bus: Bus, name: str) -> None:
        self.got: list[tuple[bytes, bytes]] = []
        self.told: list[tuple[str, object]] = []
        self.port: Port = bus.attach(self, name, secrets.token_bytes(ORIGIN_SIZE))

    def bodies(self, channel: bytes = CHANNEL) -> list[bytes]:
        """What came on a channel."""
        return [body for where, body in self.got if where == channel]

    def subscribe(self, channel: bytes = CHANNEL, *, plain: bool = False) -> None:
        """Note what comes on a channel."""
        self.port.subscribe(channel, lambda body: self.got.append((channel, body)), plain=plain)

    async def listen(self, *channels: bytes, plain: bool = False) -> None:
        """Note what comes on channels, and wait until it would."""
        for channel in channels or (CHANNEL,):
            self.subscribe(channel, plain=plain)
        for channel in channels or (CHANNEL,):
            await self.port.listening(channel)

    async def receives(self, *bodies: bytes, channel: bytes = CHANNEL) -> None:
        """Wait until so many messages have come on a channel; fail if they are not these."""
        await eventually(lambda: len(self.bodies(channel)) >= len(bodies), f"{len(bodies)} messages arrive")
        assert self.bodies(channel) == list(bodies)

    # PortEvents

    def paths_changed(self) -> None:
        """It listens on other ways."""
        self.told.append(("paths changed", self.port.paths))

    def path_lost(self, path: str) -> None:
        """A way is gone."""
        self.told.append(("path lost", path))

    def restored(self) -> None:
        """Others can be reached again."""
        self.told.append(("restored", None))

    def gap(self, info: GapInfo) -> None:
        """Messages may have been missed."""
        self.told.append(("gap", info))

    def health_changed(self, status: LinkStatus) -> None:
        """A Redis is healthy, or is not any more."""
        self.told.append(("health changed", status))

    def subscription_failed(self, failure: SubscriptionFailure) -> None:
        """A channel can't be heard."""
        self.told.append(("subscription failed", failure))
