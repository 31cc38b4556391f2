from __future__ import annotations

from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.cluster.redis.commands import channel_of, command, publish


@given(st.lists(st.binary(), min_size=1))
def test_commands_are_encoded_as_hiredis_encodes_them(parts: list[bytes]) -> None:
    packed: Any = tuple(parts)  # hiredis says that it takes one part only
    assert command(*parts) == hiredis.pack_command(packed)


@given(st.binary(), st.binary(), st.binary())
def test_a_publish_and_its_channel(channel: bytes, header: bytes, body: bytes) -> None:
    encoded = publish(channel, header, body)
    assert encoded == command(b"PUBLISH", channel, header + body)
    assert channel_of(encoded) == channel


@pytest.mark.parametrize("channel", [b"", b"a", b"\r\n$5\r\n", b"x" * 100_000])
def test_channels_of_any_size(channel: bytes) -> None:
    assert channel_of(publish(channel, b"\r\n", b"\r\n")) == channel
