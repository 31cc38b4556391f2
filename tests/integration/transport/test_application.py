"""``crosswire.testing.connect``: tests of an application without sockets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

import crosswire
from crosswire import CallTimeout, Close, EventError, Handshake, NotConnected, Reject, Server, Socket
from crosswire.runtime.loops import loop_factory
from crosswire.testing import Received, Refused, connect
from tests.support import aio
from tests.support.aio import wait_until


def application() -> tuple[Server, list[Any]]:
    """Return a server and what its hooks noted."""
    server, notes = Server(port=1), list[Any]()  # nobody could listen there

    @server.authenticate
    def authenticate(handshake: Handshake) -> str | None:
        if "bad" in handshake.query:
            raise Reject(status=401)
        return handshake.query.get("id")

    @server.on("say")
    async def say(socket: Socket, data: Any) -> Any:
        await asyncio.sleep(0)
        return [socket.user, data]

    @server.on("refuse")
    def refuse() -> None:
        raise EventError("full", "no room")

    @server.on("silent")
    async def silent() -> None:
        await asyncio.get_running_loop().create_future()

    server.on_start(lambda: notes.append("start"))
    server.on_stop(lambda: notes.append("stop"))
    server.on_disconnect(lambda _socket, close: notes.append(close))
    return server, notes


async def test_calls_events_and_the_close() -> None:
    server, notes = application()

    async with connect(server, "/?id=1") as client:
        assert notes == ["start"]
        assert await client.call("say", {"x": 1}) == ["1", {"x": 1}]
        server.user("1").send("news", 42)
        server.everyone.send("more")
        assert await client.receive("more") == Received("more", None)
        assert await client.receive() == Received("news", 42)
        with pytest.raises(EventError, match="full: no room"):
            await client.call("refuse")
        with pytest.raises(CallTimeout):
            await client.call("silent", timeout=0.01)
        with pytest.raises(TimeoutError):
            await client.receive(timeout=0.01)
    assert notes == ["start", Close(1000), "stop"]
    assert not server.running


@pytest.mark.parametrize("headers", [{}, {"Sec-WebSocket-Protocol": "crosswire.msgpack"}], ids=["JSON", "MessagePack"])
async def test_concurrent_calls_get_their_own_answers(headers: dict[str, str]) -> None:
    server, _ = application()

    async with connect(server, "/?id=1", headers) as client:
        answers = await asyncio.gather(*(client.call("say", number) for number in range(50)))
        assert answers == [["1", number] for number in range(50)]


async def test_the_server_calls_the_client() -> None:
    server, _ = application()

    async with connect(server, "/?id=1") as one, connect(server, "/?id=2") as two:
        asking = asyncio.create_task(server.everyone.gather("how are you"))
        one.answer(await one.receive("how are you"), "fine")
        two.refuse(await two.receive("how are you"), EventError("busy"))
        replies = await asking
        assert dict(replies) == {"1": "fine"}
        assert replies.errors["2"].code == "busy"


async def test_a_refused_upgrade_raises() -> None:
    server, notes = application()

    with pytest.raises(Refused, match="401") as caught:
        async with connect(server, "/?bad=1"):
            pass
    assert caught.value.response.status == caught.value.status == 401
    assert isinstance(caught.value, crosswire.Refused)
    assert notes == ["start", "stop"]


async def test_a_close_of_the_server_is_received_and_ends_calls() -> None:
    server, _ = application()

    async with connect(server, "/?id=1") as client:
        calling = asyncio.create_task(client.call("silent"))
        await wait_until(lambda: server.sockets)
        await server.user("1").close(4010, "logout")
        assert await client.closed() == Close(4010, "logout")
        with pytest.raises(NotConnected):
            await calling
        with pytest.raises(NotConnected):
            client.send("say")


def test_a_server_that_runs_is_left_running_and_one_server_serves_many_loops() -> None:
    server, notes = application()

    async def main() -> None:
        await server.start(listen=False)
        async with connect(server, "/?id=1") as client:
            assert await client.call("say") == ["1", None]
        assert server.running
        await server.stop()

    for _ in range(2):
        aio.run(main(), loop_factory())
    assert notes.count("start") == notes.count("stop") == 2


def test_only_the_contract_suites_import_pytest() -> None:
    program = "import sys, crosswire, crosswire.testing; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


async def test_a_client_checks_that_nothing_comes() -> None:
    server, _ = application()
    async with connect(server, "/?id=1") as client:
        await client.receive_nothing(timeout=0.01)
        server.user("1").send("news", 42)
        await client.receive_nothing("more", timeout=0.01)
        with pytest.raises(AssertionError, match="news"):
            await client.receive_nothing(timeout=5)
        await client.receive_nothing(timeout=0.01)
        server.user("1").send("news", 43)
        with pytest.raises(AssertionError, match="43"):
            await client.receive_nothing("news", timeout=5)
        await server.user("1").close(4010)
        with pytest.raises(NotConnected):
            await client.receive_nothing(timeout=5)
