"""A node's connection to its bus where all messages are signed with a secret."""

from __future__ import annotations

from collections.abc import Sequence

from crosswire.cluster.interface import Bus, BusEvents
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.signed_receivers import MICROSECONDS, SignedChannels
from crosswire.core.signing import Signer
from crosswire.runtime import environment


class SignedPort(OrderedPort):
    """An :class:`OrderedPort` that signs what it sends, and takes only what is signed and new.

    The time of a message is that of a clock that was right when the port was made, and never jumps.

    Args:
        bus, events, name, origin: as of :class:`OrderedPort`.
        signer: signs and checks messages.
    """

    signed = True

    def __init__(self, bus: Bus, events: BusEvents, name: str, origin: bytes, signer: Signer) -> None:
        super().__init__(bus, events, name, origin, SignedChannels(origin, signer, self))
        self._signer = signer
        self._began = environment.wall_time() - environment.monotonic()

    def _publish_numbered(self, channel: bytes, body: bytes) -> None:
        number, previous = self._next(channel)
        self._publish(channel, self._header(channel, number, previous, body), body)

    def _header(self, channel: bytes, number: int, previous: int, body: bytes) -> bytes:
        sent = int((self._began + environment.monotonic()) * MICROSECONDS)
        return self._signer.header(channel, self.origin, number, previous, sent, body)


def port_of(bus: Bus, events: BusEvents, name: str, origin: bytes, keys: Sequence[bytes]) -> OrderedPort:
    """Make the connection of a node to a bus; it signs its messages if there are keys."""
    return SignedPort(bus, events, name, origin, Signer(keys)) if keys else OrderedPort(bus, events, name, origin)
