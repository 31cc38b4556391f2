from __future__ import annotations

from typing import Any, cast

import pytest

from crosswire.server.socket import Socket
from tests.support.fakes import FakeServer
from tests.support.loops import on_instant_loop

PUBLIC = {
    "identity",
    "buffered",
    "call",
    "close",
    "data",
    "drained",
    "enter_background",
    "enter_foreground",
    "handshake",
    "id",
    "identify",
    "is_open",
    "join",
    "latency",
    "leave",
    "rooms",
    "send",
    "send_raw",
    "user",
}


def test_a_socket_has_no_public_attributes_but_the_documented_ones() -> None:
    assert {name for name in dir(Socket) if not name.startswith("_")} == PUBLIC


@on_instant_loop
async def test_the_server_finds_the_socket_of_a_peer_until_it_closes() -> None:
    server = FakeServer()
    session, _ = server.connect()
    (client,) = server.registry.users.of("13")
    assert client.socket is session.socket
    session.socket.close()
    assert not hasattr(client, "socket")
    assert (session.socket.user, session.socket.is_open) == ("13", False)
    await server.end()


@on_instant_loop
@pytest.mark.parametrize("name", ["id", "user", "rooms", "is_open"])
async def test_the_identity_of_a_socket_cannot_be_set(name: str) -> None:
    server = FakeServer()
    session, _ = server.connect()
    with pytest.raises(AttributeError):
        setattr(cast(Any, session.socket), name, "14")
    await server.end()


@on_instant_loop
async def test_the_data_of_a_socket_is_one_dict_and_can_be_set() -> None:
    server = FakeServer()
    socket = server.connect()[0].socket
    socket.data["name"] = "Ann"
    assert socket.data == {"name": "Ann"}
    data: dict[str, Any] = {}
    socket.data = data
    assert socket.data is data
    await server.end()
