"""``run()`` and ``start()`` in places where they can't work, and their errors."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from crosswire import Client, ConfigError, MemoryBus, Node, Server, Socket, UsageError
from crosswire.testing.redis_process import RedisProcess
from crosswire.transport.picows_listener import PicowsListener
from tests.support.aio import run, wait_until

Makes = Callable[[], Server | Node]
KINDS = pytest.mark.parametrize("make", [lambda: Server(port=0), lambda: Node()], ids=["server", "node"])


@KINDS
async def test_the_error_of_run_in_a_running_loop_names_start(make: Makes) -> None:
    it = make()
    what = type(it).__name__.lower()

    with pytest.raises(UsageError, match=rf"Jupyter.*`await {what}\.start\(\)`.*`await {what}\.stop\(\)`"):
        it.run()
    await it.start()  # it does
    await it.stop()


@KINDS
def test_the_error_of_run_in_another_thread_says_what_to_do(make: Makes) -> None:
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            make().run()
        except UsageError as error:
            errors.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    (error,) = errors
    assert isinstance(error, UsageError)
    assert "main thread" in str(error)
    assert "async with" in str(error)


@KINDS
def test_a_server_or_node_runs_in_the_loop_of_another_thread(make: Makes) -> None:
    async def main() -> None:
        async with make() as it:
            assert it.running

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()


def test_a_server_that_is_started_again_in_the_loop_of_another_thread_has_sockets_of_that_thread() -> None:
    server = Server(port=0)
    heard: list[str] = []

    @server.on("hi")
    async def hi(socket: Socket) -> None:
        socket.send("heard", threading.current_thread().name)
        await socket.join("a", "room")

    async def main() -> None:
        async with server, Client(f"ws://127.0.0.1:{server.port}/") as client:
            before = len(heard)
            client.on("heard", heard.append)
            await client.call("hi")
            await wait_until(lambda: len(heard) > before)

    asyncio.run(main())
    with ThreadPoolExecutor(1, thread_name_prefix="another") as thread:
        thread.submit(asyncio.run, main()).result()
    assert heard == [threading.current_thread().name, "another_0"]


@KINDS
def test_use_after_the_loop_ended_without_a_stop_is_refused(make: Makes) -> None:
    it = make()
    with asyncio.Runner() as runner:
        runner.run(it.start())
        listener = it._listener if isinstance(it, Server) else None
        assert listener is None or isinstance(listener, PicowsListener)
        accepting = None if listener is None else listener._gate
    for work in (it.start, it.stop):
        with pytest.raises(UsageError, match=r"has ended without `await \w+\.stop\(\)`.*create another one"):
            asyncio.run(work())
    with pytest.raises(UsageError, match="has ended without"):
        it.run()
    if accepting is not None:
        accepting.close()


@KINDS
def test_use_in_another_loop_is_refused(make: Makes) -> None:
    it = make()
    with asyncio.Runner() as runner:
        runner.run(it.start())
        for work in (it.start, it.stop):
            with pytest.raises(UsageError, match=r"another event loop.*run_coroutine_threadsafe"):
                asyncio.run(work())
        runner.run(it.stop())


@KINDS
def test_after_a_stop_it_starts_in_another_loop(make: Makes) -> None:
    it = make()

    async def main() -> None:
        async with it:
            pass

    for _ in range(2):
        run(main())


def test_an_invalid_drain_of_run_is_refused() -> None:
    with pytest.raises(UsageError, match="drain"):
        Server(port=0).run(drain=-1)
    with pytest.raises(UsageError, match="drain"):
        Node().run(drain=float("nan"))


# Errors that the user can fix: one line each


def program(code: str) -> tuple[int, str]:
    """Run a program to its end; return its exit code and what it said on standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"from crosswire import *\n{code}"],
        capture_output=True, encoding="utf-8", timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_port_in_use_is_reported_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, err = program(f"Server(port={taken.getsockname()[1]}).run()")
    assert code == 1
    assert err.startswith("CONFIG: can't listen on 127.0.0.1 port ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        "host='unix:/there/is/no/such/folder/x.sock'",
        "host='192.0.2.1', port=0",
        "host='no-such-host.invalid', port=0",
        "host='a..b', port=0",
    ],
)
def test_an_unusable_address_is_reported_in_one_line(options: str) -> None:
    code, err = program(f"Server({options}).run()")
    assert (code, err.count("\n")) == (1, 1), err
    assert err.startswith("CONFIG: can't listen on ")


@pytest.mark.parametrize("kind", ["Server('a', port=0,", "Node('a',"])
def test_a_redis_that_refuses_is_reported_in_one_line(kind: str) -> None:
    with RedisProcess(password="secret") as redis:
        code, err = program(f"{kind} redis={redis.url_as('default', 'wrong')!r}).run()")
    assert code == 1
    *logged, line = err.splitlines()
    assert line.startswith("CONFIG: redis://127.0.0.1:")
    assert line.endswith("disabled. Check its url and its ACL")
    assert all(" WARNING crosswire.redis: " in each for each in logged)
    assert ":wrong@" not in err


async def test_a_name_in_use_is_reported_in_one_line() -> None:
    with RedisProcess() as redis:
        async with Node("a", redis=redis.url):
            code, err = await asyncio.to_thread(program, f"Node('a', redis={redis.url!r}).run()")
    assert code == 1
    lines = [line for line in err.splitlines() if " INFO " not in line]
    assert lines == ["CONFIG: there is a living node of the name 'a' already: choose another name"]


def test_a_mistake_in_the_program_keeps_its_traceback() -> None:
    code, err = program(
        "server = Server(port=0)\n@server.on_start\ndef f(): raise OSError('no database')\nserver.run()"
    )
    assert code == 1
    assert err.count("Traceback") == 1
    assert err.endswith("OSError: no database\n")


def test_an_error_in_on_stop_keeps_its_traceback_and_everything_is_stopped() -> None:
    code, err = program(
        "import logging, os, signal\nserver = Server(port=0)\n@server.on_stop\ndef f(): raise OSError('too late')\n"
        "server.on_listening(lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "server.cluster.on_stop(lambda: logging.info('the node stops'))\n"
        "server.run(drain=0)\n"
    )
    assert code == 1
    assert "INFO root: the node stops\n" in err
    assert err.count("Traceback") == 1
    assert err.endswith("OSError: too late\n")


def test_a_node_logs_as_a_server_does() -> None:
    code, err = program(
        "import logging, os, signal\nnode = Node('a', bus=MemoryBus())\n"
        "@node.on('x')\ndef x(): logging.info('heard'); os.kill(os.getpid(), signal.SIGTERM)\n"
        "@node.on_start\ndef f(): logging.getLogger('my').info('starts'); node.send('x')\n"
        "node.run()"
    )
    assert code == 0
    assert "INFO my: starts\n" in err
    assert "INFO root: heard\n" in err


# The hooks of a node


async def test_the_hooks_of_a_node_are_called_once_a_run() -> None:
    node, notes = Node("a"), list[str]()

    @node.on_start
    async def start() -> None:
        await asyncio.sleep(0)
        notes.append("start")
        node.send("hello")

    node.on_start(lambda: notes.append("first"), once=True)
    node.on("hello", lambda: notes.append("hello"))

    @node.on_stop
    async def stop() -> None:
        notes.append("stop")
        node.send("hello")  # it still can

    for _ in range(2):
        async with node:
            await wait_until(lambda: notes[-1] == "hello")
        await node.stop()
    assert [note for note in notes if note != "hello"] == ["start", "first", "stop", "start", "stop"]
    node.off("on_start")
    node.off(node.on_stop)
    async with node:
        pass
    assert [note for note in notes if note != "hello"][5:] == []


async def test_a_node_whose_on_start_fails_has_not_started() -> None:
    bus, stops = MemoryBus(), list[int]()
    async with Node("other", bus=bus) as other:
        node = Node("a", bus=bus)
        node.on_stop(lambda: stops.append(1))

        @node.on_start(once=True)
        async def fail() -> None:
            raise OSError("no model")

        with pytest.raises(OSError, match="no model"):
            await node.start()
        assert not node.running
        assert list(other.nodes) == ["other"]
        async with node:
            assert set(other.nodes) == {"other", "a"}
    assert stops == [1]


async def test_requests_wait_until_on_start_has_ended() -> None:
    bus, ready, go = MemoryBus(), list[int](), asyncio.Event()
    async with Node("other", bus=bus) as other:
        node = Node("a", bus=bus)

        @node.on_start
        async def load() -> None:
            assert await node.call("other", "config") == 5
            await go.wait()
            ready.append(1)

        other.on("config", lambda: 5)
        node.on("ask", lambda: list(ready))
        starting = asyncio.create_task(node.start())
        await wait_until(lambda: "a" in other.nodes)
        asking = asyncio.create_task(other.call("a", "ask"))
        await asyncio.sleep(0.01)
        assert not asking.done()
        go.set()
        await starting
        assert await asking == [1]
        await node.stop()


async def test_configure_while_it_starts_is_refused() -> None:
    node = Node("a")
    node.on_start(lambda: node.configure(name="b"))
    with pytest.raises(ConfigError, match="runs already"):
        await node.start()
