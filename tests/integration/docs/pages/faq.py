"""docs/faq.md: a gateway with a game server behind it, and its clients."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

import httpx
import msgspec
import uvicorn

from crosswire import Client, EventError, Handshake, Node, Server
from crosswire.testing import connect
from tests.integration.docs.page import Page, started
from tests.integration.docs.proxy import tls_proxy
from tests.support.aio import wait_until

_REDIS = "redis://10.0.0.1:6379"


class _Database:
    """The tables at which users sit."""

    def __init__(self) -> None:
        self.seats: dict[str, list[str]] = defaultdict(list)

    async def tables_of(self, user: str) -> list[str]:
        return self.seats[user]


class _Sessions:
    """Users by a token or a session's id."""

    async def redeem(self, token: str) -> str | None:
        return token if token == "13" else None

    user_of = redeem

    async def new_token(self) -> str:
        return "13"


async def run(page: Page) -> None:
    board: dict[str, str] = {}
    database = _Database()
    page.names |= {"board": board, "database": database, "msgspec": msgspec}
    page.names |= {"login": _Sessions(), "tokens": _Sessions(), "sessions": _Sessions()}
    page.environment["CROSSWIRE_REDIS"] = os.environ["CROSSWIRE_REDIS"] = _REDIS
    with page.redis("10.0.0.1", "10.0.0.2"):
        await page.run("How does a server pass a client's call on to another server?")
        server: Server = page["server"]
        await page.run("Can the server wait for an answer from clients?")
        await page.run("Does a client leave its rooms when it disconnects?")
        await page.run("Does a client get what it missed?")
        await page.run("How should room namespaces be chosen?")
        await _answer_clients(server, page["game"], database)
        async with started(server):
            await _ask_the_cluster(page, server)
            await page.run("Is what travels over Redis compressed?")
            await wait_until(lambda: board == {"cells": "." * 10_000})
        await _deploy(page)
        for section, name in (
            ("Do all servers need the same Redis?", "same"),
            ("Are messages to clients compressed?", "compressing"),
        ):
            await page.run(section)
            async with started(page[name]):
                pass
        await page.run("Which strategy should I choose?", "How many Redis do I need?")
    await _share_ports(page)
    await _connect_clients(page)


async def _answer_clients(server: Server, game: Node, database: _Database) -> None:
    database.seats |= {"3": ["1000"], "10": ["1000"]}
    server.authenticate(lambda handshake: handshake.query["id"])
    async with connect(server, "/?id=3") as three:
        assert await _refusal(three.call("matchRequest", {"mode": "ranked"})) == "unavailable"
        async with started(game):
            assert await three.call("matchRequest", {"mode": "ranked"}) == {"mode": "ranked", "players": ["3"]}
        async with connect(server, "/?id=10") as ten:
            voting = asyncio.create_task(three.call("vote", {"table": "1000", "question": "more?"}))
            ten.answer(await ten.receive("question"), "yes")
            three.answer(await three.receive("question"), "no")
            assert await voting == {"answers": {"3": "no", "10": "yes"}, "silent": []}
            assert await ten.call("watch", {"game": "go", "id": "1"}) == {"here": 1}
        assert (await three.receive("left")).data == {"user": "10", "code": 1000}
        for answer in (False, True):
            leaving = asyncio.create_task(three.call("leaveTable", {"table": "1000"}))
            three.answer(await three.receive("confirm"), answer)
            assert await leaving == {"seated": not answer}


async def _ask_the_cluster(page: Page, server: Server) -> None:
    await page.run("How is a Redis added while servers run?", "How is a server added?")
    newcomer = Node("newcomer", redis=_REDIS)
    newcomer.on("load", lambda: {"clients": 0, "tables": 0})
    async with started(newcomer):
        await page.run("How do I ask the whole cluster who is where?")
        await page.run("How are users distributed over servers?")
        async with httpx.AsyncClient() as http:
            assert (await http.get("http://127.0.0.1:9000/emptiest")).json()["url"].endswith(".example.com/chat")
        async with connect(server, "/?id=13") as client:
            await page.run("How do I test on several machines?")
            assert (await client.receive("news")).data == {"text": "hello from the other machine"}


async def _deploy(page: Page) -> None:
    with page.commands(page.take("How is it deployed?")) as workers:
        workers.wait_for("listening on port 9000: gateway-1", timeout=60)
        assert workers.interrupt() == 0


async def _share_ports(page: Page) -> None:
    await page.run("Can it share a port with my HTTP application?")
    async with (
        started(page["behind"], page["shared"]),
        Client("ws://localhost:8000/chat"),
        httpx.AsyncClient() as http,
    ):
        assert (await http.get("http://localhost:8000/users")).json() == {"connected": 1}
    config = uvicorn.Config(page["app"], port=8000, log_level="warning")
    mounting = uvicorn.Server(config)
    serving = asyncio.create_task(mounting.serve())
    await wait_until(lambda: mounting.started)
    async with Client("ws://localhost:8000/chat/"):
        assert len(page["mounted"].sockets) == 1
    mounting.should_exit = True
    await serving


async def _connect_clients(page: Page) -> None:
    server = Server(port=9000)
    seen: list[Handshake] = []
    server.on_connect(lambda socket: seen.append(socket.handshake))
    async with started(server), tls_proxy(page.directory, page.environment):
        await page.run("Does a client reconnect by itself?")
        closed: list[bool] = []
        page["client"].on_close(lambda: closed.append(page["client"].reconnecting))
        async with page["client"]:
            await server.everyone.close(4003, "banned")
            await wait_until(lambda: closed == [False])
        await page.run("What can a client pass when it connects?")
        async with page["client"]:
            assert (seen[-1].query, seen[-1].headers["accept-language"]) == ({"token": "13"}, "sv")
        script = page.take("How is the client used in a front end?", "ts")
        await page.run_script(script, after="await client.close();")
        assert seen[-1].query == {"token": "13"}
        await page.run("How is the client used in a front end?")
        await page.run("How are credentials passed safely?", "Why heartbeats? Is the close event not enough?")
        async with page["client"]:
            pass
    await _check_credentials(page["guarded"])


async def _check_credentials(guarded: Server) -> None:
    for target, headers, code in (
        ("/?token=13", {}, None),
        ("/", {"Cookie": "session=13"}, None),
        ("/", {}, 4011),
    ):
        async with connect(guarded, target, {"Origin": "https://example.com", **headers}) as client:
            assert code is None or (await client.closed()).code == code
            if code is None:
                await wait_until(lambda: guarded.socket_of("13"))


async def _refusal(call: Coroutine[Any, Any, Any]) -> str:
    try:
        await call
    except EventError as error:
        return error.code
    raise AssertionError("it was answered")
