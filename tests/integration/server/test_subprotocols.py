"""Subprotocols of the application's own."""

from __future__ import annotations

import pytest
import websockets

from crosswire import Client, ConfigError, Handshake, Reject, Server, Socket
from tests.integration.server.support import connect, make_server, raw_stream, upgrade_request
from tests.support.aio import wait_until


def offer(*names: str) -> list[websockets.Subprotocol]:
    return [websockets.Subprotocol(name) for name in names]


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        (["v2.chat"], "v2.chat"),
        (["v1.chat", "v2.chat"], "v1.chat"),
        (["v2.chat", "v1.chat"], "v2.chat"),
        (["v9.chat", "v1.chat"], "v1.chat"),
        (["v9.chat"], None),
        (["V2.chat"], None),
        ([], None),
        (["crosswire.msgpack", "v2.chat"], "crosswire.msgpack"),
        (["v2.chat", "crosswire.msgpack"], "v2.chat"),
        (["v9.chat", "crosswire.msgpack"], "crosswire.msgpack"),
    ],
)
async def test_the_client_s_favourite_is_agreed_on(offered: list[str], agreed: str | None) -> None:
    server = make_server(subprotocols=["v2.chat", "v1.chat"])
    async with server, connect(server, "1", subprotocols=offer(*offered)) as peer:
        await wait_until(lambda: server.sockets)
        (socket,) = server.sockets
        assert peer.ws.subprotocol == agreed == socket.handshake.subprotocol
        assert socket.handshake.subprotocols == tuple(offered)


async def test_messages_are_messagepack_only_where_that_was_agreed_on() -> None:
    server = make_server(subprotocols=["v2.chat"])
    async with server:
        async with connect(server, "1", subprotocols=offer("v2.chat", "crosswire.msgpack")) as peer:
            await wait_until(lambda: server.sockets)
            server.user("1").send("news", 1)
            assert await peer.event() == ("news", 1)
        async with connect(server, "2", subprotocols=offer("crosswire.msgpack", "v2.chat")) as peer:
            await wait_until(lambda: server.socket_of("2"))
            server.user("2").send("news", 1)
            assert isinstance(await peer.receive_frame(), bytes)


async def test_authenticate_takes_a_token_from_a_subprotocol_and_may_choose_another() -> None:
    server = Server(port=0, subprotocols=["v1.chat", "v2.chat"])

    @server.authenticate
    def who(handshake: Handshake) -> str:
        assert handshake.subprotocol == "v1.chat"
        token = next((name for name in handshake.subprotocols if name.startswith("token.")), None)
        if token is None:
            raise Reject(status=401)
        handshake.subprotocol = "v2.chat"
        return token.removeprefix("token.")

    async with server, connect(server, subprotocols=offer("v1.chat", "token.abc", "v2.chat")) as peer:
        await wait_until(lambda: server.sockets)
        (socket,) = server.sockets
        assert (peer.ws.subprotocol, socket.user) == ("v2.chat", "abc")
        assert socket.handshake.subprotocol == "v2.chat"


async def test_authenticate_may_choose_one_that_the_server_does_not_name_messagepack_or_none() -> None:
    choice: list[str | None] = ["token.abc"]
    server = Server(port=0, subprotocols=["v1.chat"])

    @server.authenticate
    def who(handshake: Handshake) -> str:
        handshake.subprotocol = choice[0]
        return "1"

    offered = offer("v1.chat", "token.abc", "crosswire.msgpack")
    async with server:
        for choice[0] in ("token.abc", "crosswire.msgpack", None):
            async with connect(server, subprotocols=offered) as peer:
                assert peer.ws.subprotocol == choice[0]
                await wait_until(lambda: server.sockets)
                server.everyone.send("news", 1)
                assert isinstance(await peer.receive_frame(), bytes if choice[0] == "crosswire.msgpack" else str)
            await wait_until(lambda: not server.sockets)


@pytest.mark.parametrize("chosen", ["v3.chat", "", "V1.chat", "v1.chat, token.abc", 5])
async def test_choosing_a_subprotocol_that_was_not_offered_raises(
    chosen: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(port=0, subprotocols=["v1.chat"])

    @server.authenticate
    def who(handshake: Handshake) -> str:
        handshake.subprotocol = chosen
        return "1"

    async with server, raw_stream(server) as peer:
        status, _ = await peer.request(
            upgrade_request().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: v1.chat, token.abc\r\n\r\n")
        )
        assert status == 500
    assert "does not offer" in caplog.text
    assert "token.abc" not in caplog.text.replace("'v1.chat, token.abc'", "")


async def test_the_subprotocol_can_not_change_after_the_upgrade() -> None:
    server = Server(port=0, subprotocols=["v1.chat"])
    told: list[str] = []

    @server.authenticate
    async def who(handshake: Handshake) -> str:
        with pytest.raises(ValueError, match="synchronous authenticate") as caught:
            handshake.subprotocol = "v1.chat"
        told.append(str(caught.value))
        return "1"

    async with server, connect(server, subprotocols=offer("v1.chat")):
        await wait_until(lambda: told)


async def test_the_client_offers_subprotocols() -> None:
    server = make_server(subprotocols=["v2.chat"])
    got: list[str | None] = []

    @server.on_connect
    def connected(socket: Socket) -> None:
        got.append(socket.handshake.subprotocol)

    async with server, Client(f"ws://127.0.0.1:{server.port}", subprotocols=["v9", "v2.chat"]):
        assert got == ["v2.chat"]


@pytest.mark.parametrize("wrong", ["v2.chat", ["v2 chat"], ["a,b"], [""], [5], ["a", "a"], None, 5, [b"a"]])
def test_invalid_names_are_refused(wrong: list[str]) -> None:
    with pytest.raises(ConfigError, match="subprotocols"):
        Server(subprotocols=wrong)
