"""A handler starts with the context variables of its connection, and changes only its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from crosswire import Client, Handshake, Node, Server, Socket
from crosswire.cluster.memory import MemoryBus
from tests.integration.server.support import connect, make_server, url_of
from tests.support.aio import wait_until

tenant: ContextVar[str] = ContextVar("tenant", default="none")
note: ContextVar[str] = ContextVar("note", default="none")

ways = pytest.mark.parametrize("way", ["sync", "async", "waits", "returns"])


def made(way: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler that does this in one of the ways in which a handler can be written."""

    async def at_once(*arguments: Any) -> Any:
        return function(*arguments)

    async def waits(*arguments: Any) -> Any:
        await asyncio.sleep(0)
        result = function(*arguments)
        await asyncio.sleep(0.001)
        return result

    def returns(*arguments: Any) -> Any:
        return waits(*arguments)

    form: Callable[..., Any] = {"sync": function, "async": at_once, "waits": waits, "returns": returns}[way]
    if function.__code__.co_argcount:
        return {"sync": function, "async": one_async(form), "waits": one_async(form)}.get(way, lambda one: form(one))
    return form


def one_async(form: Callable[..., Any]) -> Callable[..., Any]:
    async def one(subject: Any) -> Any:
        return await form(subject)

    return one


def tenants(set_in: str, way: str) -> Server:
    """A server that notes the user of a connection as its tenant, and a handler that tells and changes it."""
    server = Server("test", port=0)

    def authenticate(handshake: Handshake) -> str:
        if set_in == "authenticate":
            tenant.set(handshake.query["id"])
        return handshake.query["id"]

    def greet(socket: Socket) -> None:
        if set_in == "on_connect":
            tenant.set(socket.user)

    def tell(socket: Socket) -> list[str]:
        seen = [tenant.get(), note.get()]
        tenant.set("changed")
        note.set("changed")
        return seen

    server.authenticate(made(way, authenticate))
    server.on_connect(made(way, greet))
    server.on("tell", made(way, tell))
    server.on("twice", made(way, tell))
    server.on("twice", made(way, lambda socket: None))
    return server


@ways
@pytest.mark.parametrize("set_in", ["authenticate", "on_connect"])
async def test_variables_set_during_authentication_are_set_in_every_event_of_the_connection(
    way: str, set_in: str
) -> None:
    server = tenants(set_in, way)
    async with server, connect(server, "1") as one, connect(server, "2") as two:
        for event in ("tell", "tell", "twice", "tell"):
            assert await one.call(event) == ["1", "none"]
            assert await two.call(event) == ["2", "none"]
    assert (tenant.get(), note.get()) == ("none", "none")


@ways
async def test_every_hook_of_a_connection_has_its_variables(way: str) -> None:
    server, seen = make_server(), list[str]()

    @server.on_connect
    async def greet(socket: Socket) -> None:
        tenant.set(socket.user)
        await asyncio.sleep(0)

    def noted(name: str) -> Callable[..., Any]:
        def hook(socket: Socket) -> None:
            seen.append(f"{name} {tenant.get()}")
            tenant.set("changed")

        return made(way, hook)

    for name in ("on_message", "on_heartbeat", "on_pong", "on_error", "on_disconnect"):
        getattr(server, name)(noted(name))

    @server.on("fail")
    def fail() -> None:
        tenant.set("failing")
        raise KeyError

    async with server:
        async with connect(server, "1") as peer:
            await peer.send("fail")
            await peer.ws.pong()
            assert await peer.rest() == []
            await wait_until(lambda: len(seen) == 4)
        await wait_until(lambda: len(seen) == 5)
    hooks = {"on_message 1", "on_heartbeat 1", "on_pong 1", "on_error 1", "on_disconnect 1"}
    assert set(seen) == hooks


@ways
async def test_waiting_events_are_handled_with_the_variables_of_their_connection(way: str) -> None:
    server, go, seen = make_server(), asyncio.Event(), list[str]()

    @server.on_connect
    async def greet(socket: Socket) -> None:
        await go.wait()
        tenant.set(socket.user)

    server.on("say", made(way, lambda socket: seen.append(tenant.get())))
    async with server, connect(server, "1") as peer:
        for _ in range(3):
            await peer.send("say")
        assert await peer.rest() == []
        go.set()
        await wait_until(lambda: len(seen) == 3)
        assert seen == ["1", "1", "1"]


async def test_variables_set_by_a_page_are_not_kept() -> None:
    server, seen = make_server(), list[str]()

    def page() -> str:
        seen.append(tenant.get())
        tenant.set("changed")
        return "x"

    server.get("/page", page)
    async with server:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" in await reader.read(100)
            writer.close()
    assert seen == ["none", "none"]


@ways
async def test_variables_set_by_a_handler_of_a_node_are_not_kept(way: str) -> None:
    bus, seen = MemoryBus(), list[str]()
    one, two = Node("one", bus=bus), Node("two", bus=bus)

    def tell(sender: Any) -> None:
        seen.append(tenant.get())
        tenant.set("changed")

    two.on("tell", made(way, tell))
    two.on("twice", made(way, tell))
    two.on("twice", made(way, tell))
    two.on_join(made(way, tell))
    async with two, one:
        for event in ("tell", "tell", "twice", "tell"):
            await one.call("two", event)
        await wait_until(lambda: len(seen) == 6)
    assert seen == ["none"] * 6
    assert tenant.get() == "none"


@ways
async def test_variables_set_by_a_handler_of_a_client_are_not_kept(way: str) -> None:
    server, seen = make_server(), list[str]()

    def tell(*arguments: Any) -> None:
        seen.append(tenant.get())
        tenant.set("changed")

    async with server:
        client = Client(url_of(server, "/?id=1"))
        client.on("tell", made(way, tell))
        client.on("tell", made(way, tell))
        client.on_open(made(way, tell))
        client.on_message(made(way, tell))
        async with client:
            for _ in range(2):
                await server.user("1").gather("tell")
            await wait_until(lambda: len(seen) >= 7)
    assert set(seen) == {"none"}
    assert tenant.get() == "none"
