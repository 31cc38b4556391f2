"""A client in several event loops and threads."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from crosswire import Client, NotConnected, Server, UsageError
from tests.support.aio import run
from tests.support.loops import on_asyncio


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a server in a thread of its own."""
    ready, urls = threading.Event(), list[str]()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def main() -> None:
        server = Server("there", port=0)
        server.on("echo", lambda _socket, data: data)
        async with server:
            urls.append(f"ws://127.0.0.1:{server.port}")
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    ready.wait()
    yield urls[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


AWAITED = pytest.mark.parametrize(
    "use", [lambda c: c.connect(), lambda c: c.call("echo", 1), lambda c: c.close()], ids=["connect", "call", "close"]
)


@AWAITED
def test_another_loop_is_refused(use: Callable[[Client], Awaitable[None]], url: str) -> None:
    async def elsewhere() -> None:
        with pytest.raises(UsageError, match=r"another event loop.*use it there"):
            await use(client)

    client = Client(url)
    with asyncio.Runner() as runner:
        runner.run(client.connect())
        asyncio.run(elsewhere())
        client.send("echo")  # it goes out when the loop runs again
        assert runner.run(client.call("echo", 5)) == 5
        runner.run(client.close())
    run(connects_again(client))


async def connects_again(client: Client) -> None:
    async with client:
        assert await client.call("echo", 5) == 5


CLOSED = """
import asyncio, sys
from crosswire import Client, UsageError

client = Client(sys.argv[1])
loop = asyncio.new_event_loop()
loop.run_until_complete(client.connect())
loop.close()

async def use():
    for work in (client.connect(), client.call("echo", 1), client.close(), client.__aenter__()):
        try:
            await work
        except UsageError as error:
            print(error)

asyncio.run(use())
for work in (lambda: client.send("echo"), client.reconnect):
    try:
        work()
    except UsageError as error:
        print(error)
"""


def test_a_closed_loop_is_refused_without_an_unawaited_coroutine(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", CLOSED, url],
        capture_output=True, encoding="utf-8", timeout=30, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert all("has ended without `await client.close()`" in line for line in lines)
    assert "never awaited" not in done.stderr


@on_asyncio
async def test_another_thread_is_refused(url: str) -> None:
    async def elsewhere(client: Client) -> None:
        for work in (client.connect(), client.call("echo", 1), client.close()):
            with pytest.raises(UsageError, match="event loop of another thread"):
                await work
        with pytest.raises(UsageError, match="event loop of another thread"):
            client.send("echo")
        with pytest.raises(UsageError, match="event loop of another thread"):
            client.reconnect()

    async with Client(url) as client:
        await asyncio.to_thread(lambda: asyncio.run(elsewhere(client)))
        assert await client.call("echo", 5) == 5


def test_a_client_that_was_closed_can_connect_in_another_loop(url: str) -> None:
    client = Client(url)
    asyncio.run(client.connect())

    async def use_in_another_loop() -> None:
        with pytest.raises(NotConnected):
            client.send("echo")
        await connects_again(client)

    run(use_in_another_loop())


def test_without_a_loop_the_error_says_what_to_do_and_nothing_is_begun(url: str) -> None:
    client = Client(url)
    with pytest.raises(NotConnected):
        client.send("echo")
    with pytest.raises(UsageError, match="no event loop runs"):
        client.reconnect()
    assert not client.reconnecting
    run(connects_again(client))
