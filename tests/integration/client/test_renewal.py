"""Clients whose tokens expire: renewed on the same connection, or on a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from crosswire import Client, CloseCode, Handshake, Identity, Refused, Server
from tests.integration.client.helpers import HookRecorder
from tests.support.aio import wait_until
from tests.support.moved_clock import MovedClock
from tests.support.tokens import make_token, token_server

RENEWAL = 45
"""Seconds after which a client is asked for a new ticket or token instead of one that lasts a minute."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """The server's clock."""
    return MovedClock(monkeypatch)


def ticket_server(clock: MovedClock) -> Server:
    """A server that lets clients in for a minute, with a ticket that is new each time."""
    server = Server("test", port=0)
    used: set[str] = set()

    @server.authenticate
    async def who(handshake: Handshake) -> Identity:
        ticket = handshake.query["ticket"]
        assert ticket not in used
        used.add(ticket)
        return Identity("ada", expires=clock.time() + 60, token_id=ticket)

    return server


def ticket_office() -> Callable[[], dict[str, Any]]:
    """A function of parameters that has another ticket each time."""
    sold: list[int] = []

    def sell() -> dict[str, Any]:
        sold.append(len(sold))
        return {"ticket": len(sold)}

    return sell


@pytest.mark.parametrize("msgpack", [False, True])
async def test_a_client_with_a_function_of_parameters_keeps_its_connection(clock: MovedClock, msgpack: bool) -> None:
    async with ticket_server(clock) as server:
        client = Client(
            f"ws://127.0.0.1:{server.port}",
            params=ticket_office(),
            subprotocols=["crosswire.msgpack"] if msgpack else (),
        )
        hooks = HookRecorder(client)
        async with client:
            [socket] = server.sockets
            for ticket in ("2", "3"):
                clock.advance(RENEWAL)
                await wait_until(lambda: (now := socket.identity) is not None and now.token_id == ticket)  # noqa: B023
            assert socket.is_open
        assert hooks.events == ["open", "close"]


async def test_a_client_that_is_asked_calls_an_asynchronous_function(clock: MovedClock) -> None:
    tokens = [make_token(), make_token(stage=2)]

    async def params() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"token": tokens.pop(0)}

    async with token_server() as server, Client(f"ws://127.0.0.1:{server.port}", params=params) as client:
        [socket] = server.sockets
        clock.advance(RENEWAL)
        await wait_until(lambda: (now := socket.identity) is not None and "stage" in now.claims)
        assert (await client.call("claims"))["stage"] == 2


async def test_a_client_whose_function_fails_connects_anew(clock: MovedClock) -> None:
    sell = ticket_office()
    calls: list[int] = []

    def params() -> dict[str, Any]:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("the office is closed")
        return sell()

    async with ticket_server(clock) as server:
        client = Client(f"ws://127.0.0.1:{server.port}", params=params, fast_interval=0.05)
        hooks = HookRecorder(client)
        async with client:
            clock.advance(RENEWAL)
            await wait_until(lambda: any("office is closed" in str(error) for error in hooks.errors))
            assert hooks.count("close") == 0
            clock.advance(60 - RENEWAL)
            await wait_until(lambda: hooks.count("open") == 2)
        assert hooks.closes[0] == (CloseCode.TOKEN_EXPIRED, "the token has expired")


async def test_a_client_with_fixed_parameters_comes_back_and_is_then_refused(clock: MovedClock) -> None:
    token = make_token()
    async with token_server() as server:
        client = Client(f"ws://127.0.0.1:{server.port}", params={"token": token}, fast_interval=0.05)
        hooks = HookRecorder(client)
        await client.connect()
        clock.advance(60)
        await wait_until(lambda: len(hooks.closes) == 2)
        assert [close.code for close in hooks.closes] == [CloseCode.TOKEN_EXPIRED, CloseCode.AUTH_FAILED]
        with pytest.raises(Refused):
            await client.connect()
        await client.close()


async def test_a_client_that_is_logged_out_does_not_come_back_by_itself() -> None:
    async with token_server() as server:
        client = Client(f"ws://127.0.0.1:{server.port}", params=lambda: {"token": make_token()}, fast_interval=0.05)
        hooks = HookRecorder(client)
        async with client:
            await server.revoke(user="ada")
            await wait_until(lambda: hooks.closes)
            assert hooks.closes[0].code == CloseCode.FORCED_LOGOUT
            assert not client.reconnecting
