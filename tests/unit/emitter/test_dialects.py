from __future__ import annotations

from typing import cast

from crosswire.cluster.compat import Compat
from crosswire.core.channel_names import Channels
from crosswire.core.original_channels import BRIDGE
from crosswire.emitter.dialects import EmitterDialect, NativeEmitterDialect, OriginalEmitterDialect, pack
from crosswire.emitter.port import EmitterPort


class FakePort:
    """Notes the channels on which messages are published."""

    def __init__(self) -> None:
        self.channels: list[bytes] = []

    def publish(self, channel: bytes, body: bytes, *, plain: bool = False) -> None:
        self.channels.append(channel)


def sent_to(dialect: EmitterDialect, to: tuple[str, ...] | None, port: FakePort) -> list[bytes]:
    """Return the channels on which an event for some nodes, or for all, is published."""
    port.channels.clear()
    dialect.send_event(to, "news", pack(dialect.codec, 1))
    return port.channels


def test_an_event_for_no_nodes_is_sent_to_none_and_not_to_all() -> None:
    noted, channels = FakePort(), Channels("p:")
    port = cast(EmitterPort, noted)
    native, original = NativeEmitterDialect(port, channels, "me"), OriginalEmitterDialect(port, Compat(), "me")
    assert sent_to(native, (), noted) == sent_to(original, (), noted) == []
    assert sent_to(native, None, noted) == [channels.nodes]
    assert sent_to(original, None, noted) == [BRIDGE]
