from __future__ import annotations

import pytest

from crosswire.core.original_channels import custom_channel, is_channel_of_rooms, rooms_channel
from crosswire.errors import UsageError


def test_a_namespace_has_one_channel() -> None:
    assert rooms_channel("chat") == b"ws:chat"
    assert is_channel_of_rooms(b"ws:chat", "chat")
    assert not is_channel_of_rooms(b"ws:chat", "cha")


@pytest.mark.parametrize("namespace", ["broadcast", "private_socket", "ws:chat"])
def test_a_namespace_can_not_be_called_as_the_originals_own_channels(namespace: str) -> None:
    with pytest.raises(UsageError, match="namespace"):
        rooms_channel(namespace)


@pytest.mark.parametrize("name", ["ws:chat", "csbp:server_bridge"])
def test_an_application_s_channel_can_not_be_the_originals_own(name: str) -> None:
    assert custom_channel("news") == b"news"
    with pytest.raises(UsageError, match="the original's own"):
        custom_channel(name)
