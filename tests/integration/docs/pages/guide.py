"""docs/guide.md: one server, and clients that make it do what the page says."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from types import SimpleNamespace

import httpx
import pytest

from crosswire import EventError, RoomState, Server, Socket
from crosswire.testing import connect
from tests.integration.docs.page import Page, started
from tests.integration.docs.proxy import tls_proxy


class _Users:
    """The application's users, by their token."""

    async def find_by_token(self, token: str | None) -> SimpleNamespace | None:
        return SimpleNamespace(id=token.removeprefix("token-of-")) if token else None


async def run(page: Page) -> None:
    page.names |= {"asyncio": asyncio, "users": _Users()}
    await page.run("Events and calls", "Who is it: authenticate")
    server: Server = page["server"]
    async with (
        connect(server, "/?token=token-of-3") as three,
        connect(server, "/?token=token-of-10") as ten,
        connect(server, "/?token=token-of-13") as thirteen,
    ):
        assert await three.call("joinRoom", {"room_id": "1000"}) == {"members": 1}
        assert await ten.call("joinRoom", {"room_id": "1000"}) == {"members": 2}
        async with connect(server) as nobody:
            assert (await nobody.closed()).code == 4011
        await _fill_a_room(server)
        await page.run("Sending to many")
        for client, texts in ((three, ["hello you two"]), (ten, ["hello you two"]), (thirteen, ["hello 13"])):
            assert (await client.receive("news")).data == {"text": "hi"}
            assert [(await client.receive("say")).data["msg"] for _ in texts] == texts
        assert (await ten.receive("roomSay")).data == {"msg": "hello room"}
        await page.run("When, and from which thread")
        assert (await thirteen.receive("news")).data == {"text": "hi"}
        await page.run("To a client that reads slowly")
        assert (await thirteen.receive("price")).data["item"] == "apple"
        thirteen.send("snapshot")
        for number in range(190):
            assert (await thirteen.receive("part")).data["number"] == number
        await thirteen.receive("whole")
        await page.run("What a client missed")
        await _come_back(server)
    await _run_publish(page)
    await page.run("Pages and health checks")
    async with started(server), httpx.AsyncClient() as http:
        assert (await http.get("http://127.0.0.1:9000/metrics")).text == "connections 0\n"
    await page.run("Behind a proxy")
    async with started(page["server"]):
        pass
    await _run_client(page, server)
    await page.run("The log")
    logging.getLogger("crosswire").removeHandler(page["handler"])
    await _run_tests(page)


async def _run_publish(page: Page) -> None:
    page.environment["PUBLISH_KEY"] = os.environ["PUBLISH_KEY"] = "a-key-of-the-tests"
    section, server = "From other programs, over HTTP", page["server"]
    await page.run_block(page.take(section, "python"))
    publishing: Server = page["server"]
    async with started(publishing), connect(publishing, "/?id=13") as member:
        await publishing.room("chat", "1000").add(next(iter(publishing.sockets)).user)
        await page.run_block(page.take(section, "sh"))
        assert (await member.receive("news")).data == {"text": "hi"}
    page.names["server"] = server


async def _come_back(server: Server) -> None:
    async with connect(server, "/?token=token-of-7&_cw=2") as client:
        await client.call("enter", {"room_id": "main"})
        assert await client.call("post", {"text": "first"}) == {"accepted": True}
        room, posted = await client.receive("$room"), await client.receive("posted")
        assert (room.data["recovered"], posted.data) == (None, {"text": "first"})
    server.room("lobby", "main").send("posted", {"text": "second"})
    async with connect(server, f"/?token=token-of-7&_cw=2&_cw_at={room.data['at']}") as client:
        await client.call("enter", {"room_id": "main"})
        assert (await client.receive("$room")).data["recovered"] is True
        assert [(await client.receive("posted")).data["text"] for _ in range(2)] == ["first", "second"]


async def _fill_a_room(server: Server) -> None:
    async with AsyncExitStack() as clients:
        for number in range(51):
            client = await clients.enter_async_context(connect(server, f"/?token=token-of-guest-{number}"))
            joined = client.call("joinRoom", {"room_id": "small"})
            if number < 50:
                assert await joined == {"members": number + 1}
            else:
                with pytest.raises(EventError, match="full: the room is full"):
                    await joined


async def _run_client(page: Page, server: Server) -> None:
    server.on("say", lambda socket, data: {"heard": data["msg"]})
    page.names["token"] = "token-of-13"
    async with started(server), tls_proxy(page.directory, page.environment):
        await page.run("The client")
        await page.run("Rooms that keep history")
    assert page["answer"] == {"heard": "hi"}
    page["room_changed"](RoomState("lobby", "main", True))
    page["room_changed"](RoomState("lobby", "main", False, "expired"))


async def _run_tests(page: Page) -> None:
    page.names["server"] = server = Server()

    @server.on("say")
    async def say(socket: Socket, data: dict[str, str]) -> dict[str, bool]:
        await socket.join("chat", data["room"])
        server.room("chat", data["room"]).send("said", data, exclude=[socket.user])
        return {"heard": True}

    await page.run("Testing your application")
    await page["test_say"]()
