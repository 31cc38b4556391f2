"""uvicorn, granian and hypercorn in their own processes, with a server alone and mounted in frameworks."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from crosswire import Client, EventError, Refused
from crosswire.testing.reserved_port import ReservedPort
from tests.support.running_program import RunningProgram

ROOT = Path(__file__).parents[3]
PACKAGE = "tests.integration.asgi"
_READY = {
    "uvicorn": r"Uvicorn running on",
    "granian": r"Started worker-1",
    "hypercorn": r"Running on http",
}


class Served(NamedTuple):
    """A program that serves an application."""

    program: RunningProgram
    asgi_server: str
    base: str
    """Host, port and path of the chat."""

    @property
    def host(self) -> str:
        """Host and port."""
        return self.base.partition("/")[0]


PROGRAMS = {
    "uvicorn": ("uvicorn", "servers:chat.asgi"),
    "uvicorn with wsproto": ("uvicorn", "servers:chat.asgi", "--ws", "wsproto"),
    "granian": ("granian", "servers:chat.asgi"),
    "hypercorn": ("hypercorn", "servers:chat.asgi", "--graceful-timeout", "1"),
    "FastAPI": ("uvicorn", "on_fastapi:app"),
    "Litestar": ("granian", "on_litestar:app"),
    "Starlette": ("hypercorn", "on_starlette:app", "--graceful-timeout", "1"),
    "Django": ("uvicorn", "on_django:app"),
}
FRAMEWORKS = ("FastAPI", "Litestar", "Starlette")


class Programs:
    """Programs of a module's tests, each started when it is needed first."""

    def __init__(self) -> None:
        self._started: dict[str, Served] = {}
        self._ports: list[ReservedPort] = []

    def __getitem__(self, name: str) -> Served:
        if name not in self._started:
            self._started[name] = self._start(*PROGRAMS[name])
        return self._started[name]

    def _start(self, asgi_server: str, application: str, *options: str) -> Served:
        port = ReservedPort()
        self._ports.append(port)
        address = ["--bind", f"127.0.0.1:{port.number}"] if asgi_server == "hypercorn" else ["--port", str(port.number)]
        kind = ["--interface", "asgi"] if asgi_server == "granian" else []
        line = [sys.executable, "-m", asgi_server, f"{PACKAGE}.{application}", *address, *kind, *options]
        program = RunningProgram(line, cwd=ROOT, environment=None)
        path = "" if application.startswith("servers") else "/chat"
        served = Served(program, asgi_server, f"127.0.0.1:{port.number}{path}")
        program.wait_for("chat started")
        program.wait_for(_READY[asgi_server])
        return served

    def stop(self) -> None:
        for served in self._started.values():
            served.program.signal(signal.SIGTERM)  # granian has a process of its own for each worker
        for served in self._started.values():
            served.program.wait()
            served.program.stop()
        for port in self._ports:
            port.close()


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    started = Programs()
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(params=PROGRAMS)
def served(request: pytest.FixtureRequest, programs: Programs) -> Served:
    return programs[request.param]


@asynccontextmanager
async def connect(served: Served, query: str, **options: Any) -> AsyncIterator[ClientConnection]:
    options = {"compression": None, "proxy": None, **options}
    async with websockets.connect(f"ws://{served.base}/{query}", **options) as websocket:
        yield websocket


async def test_a_client_calls_and_hears_its_room(served: Served) -> None:
    said: list[Any] = []
    async with Client(f"ws://{served.base}/a%20b", params={"id": "7"}) as client:
        client.on("said", said.append)
        answer = await client.call("say", {"text": "grüße"})
        assert answer == {"server": "chat", "user": "7", "path": "/a b", "data": {"text": "grüße"}}
        assert said == [{"text": "grüße"}]
        with pytest.raises(EventError) as refusal:
            await client.call("unknown")
        assert refusal.value.code == "NO_HANDLER"


async def test_authenticate_refuses_with_a_status_or_a_close_code(served: Served) -> None:
    with pytest.raises(Refused) as refused:
        await Client(f"ws://{served.base}/", params={"status": "401"}).connect()
    assert refused.value.status == 401
    with pytest.raises(Refused) as refused:
        await Client(f"ws://{served.base}/", params={"code": "4011"}).connect()
    assert (refused.value.code, refused.value.status) == (4011, None)


async def test_messagepack_in_binary_messages(served: Served) -> None:
    async with connect(served, "?id=8", subprotocols=["crosswire.msgpack"]) as websocket:
        assert websocket.subprotocol == "crosswire.msgpack"
        await websocket.send(msgspec.msgpack.encode({"event": "say", "payload": 1, "callbackId": "x"}))
        messages = [msgspec.msgpack.decode(await websocket.recv(decode=False)) for _ in range(2)]
        assert sorted(messages[0]) == ["event", "payload"]
        assert messages[1]["payload"]["user"] == "8"


async def test_heartbeats_order_and_a_close_behind_what_was_sent(served: Served) -> None:
    async with connect(served, "?id=9") as websocket:
        await websocket.send("")
        assert await websocket.recv() == ""
        for number in range(200):
            await websocket.send(json.dumps({"event": "say", "payload": number}))
        await websocket.send(json.dumps({"event": "leave"}))
        assert [json.loads(await websocket.recv())["payload"] for _ in range(200)] == list(range(200))
        await websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (4000, "as you wish")


async def test_a_large_message_comes_whole_and_one_too_large_is_1009(served: Served) -> None:
    async with connect(served, "?id=10", max_size=None) as websocket:
        text = "é" * 45_000
        await websocket.send(json.dumps({"event": "say", "payload": text}, ensure_ascii=False))
        assert json.loads(await websocket.recv())["payload"] == text
        await websocket.send("x" * 100_001)
        await websocket.wait_closed()
        assert websocket.close_code == 1009


async def test_the_end_of_a_client_is_noticed(served: Served) -> None:
    async with connect(served, "?id=closes") as websocket:
        await websocket.close(4321, "bye")
    # hypercorn does not tell an application the client's close code.
    code = 1006 if served.asgi_server == "hypercorn" else 4321
    served.program.wait_for(f"closes gone with {code}")
    async with connect(served, "?id=vanishes") as websocket:
        await websocket.send("")
        await websocket.recv()
        websocket.transport.abort()
    served.program.wait_for(
        "vanishes gone with 100[56]" if served.asgi_server == "granian" else "vanishes gone with 1006"
    )


async def test_pages_of_the_server_and_of_the_application(served: Served) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        page = await http.get(f"http://{served.base}/page")
        assert (page.status_code, page.text) == (200, "a page of chat")
        head = await http.head(f"http://{served.base}/page")
        assert (head.status_code, head.text) == (200, "")
        if not served.base.endswith("/chat"):
            return
        assert "the application's own" in (await http.get(f"http://{served.host}/own")).text


@pytest.mark.parametrize("name", FRAMEWORKS)
async def test_two_servers_of_one_application_are_told_apart_by_path(name: str, programs: Programs) -> None:
    host = programs[name].host
    async with (
        Client(f"ws://{host}/chat/", params={"id": "same"}) as one,
        Client(f"ws://{host}/game/", params={"id": "same"}) as other,
    ):
        answers = [await client.call("say") for client in (one, other)]
        assert [answer["server"] for answer in answers] == ["chat", "game"]


@pytest.mark.parametrize("name", FRAMEWORKS)
async def test_a_route_hands_over_with_the_user_that_it_knows(name: str, programs: Programs) -> None:
    async with Client(f"ws://{programs[name].host}/route", params={"token": "7"}) as client:
        answer = await client.call("say")
        assert (answer["user"], answer["path"]) == ("user of 7", "/route")


async def test_a_signal_closes_the_clients_and_stops_the_server(served: Served) -> None:
    async with connect(served, "?id=stays") as websocket:
        await websocket.send("")
        await websocket.recv()
        served.program.signal(signal.SIGTERM)
        await websocket.wait_closed()
    served.program.wait()
    assert "chat stopped" in served.program.output
    if served.asgi_server != "hypercorn":  # it prints one of its own when it cuts a connection
        assert "Traceback" not in served.program.output, served.program.output
