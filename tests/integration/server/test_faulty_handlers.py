"""A handler that raises, is cancelled or never ends hurts only its own call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from crosswire import Close, Limits, Reject, Socket
from tests.integration.server.support import HookRecorder, connect, make_server
from tests.support.aio import wait_until

FAILED = ("HANDLER_ERROR", "the handler failed")


def raising(error: BaseException, kind: str) -> Callable[..., Any]:
    def at_once() -> None:
        raise error

    async def before_waiting() -> None:
        raise error

    async def after_waiting() -> None:
        await asyncio.sleep(0)
        raise error

    async def in_a_task() -> None:
        await asyncio.create_task(after_waiting())

    return {"sync": at_once, "async": before_waiting, "later": after_waiting, "in a task": in_a_task}[kind]


ERRORS = [
    ValueError("x"),
    RecursionError(),
    MemoryError(),
    StopIteration(),
    StopAsyncIteration(),
    TimeoutError(),
    asyncio.CancelledError(),
    AssertionError(),
]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("kind", ["sync", "async", "later", "in a task"])
@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_a_handler_that_raises(error: BaseException, kind: str, several: bool) -> None:
    if isinstance(error, StopIteration) and kind == "in a task":
        kind = "later"
    server = make_server()
    recorder = HookRecorder(server)
    server.on("fail", raising(error, kind))
    if several:
        server.on("fail", lambda: None)
    server.on("echo", lambda socket, data: data)
    async with server, connect(server, "1") as peer, connect(server, "2") as other:
        assert await peer.refused("fail") == FAILED
        await peer.send("fail")
        assert await peer.call("echo", 1) == 1
        assert await other.call("echo", 2) == 2
        await wait_until(lambda: len(recorder.errors) == 2)
        assert recorder.closes == []


@pytest.mark.parametrize("several", [False, True])
async def test_a_handler_that_is_cancelled_from_outside(several: bool) -> None:
    server, tasks = make_server(), list[asyncio.Task[Any]]()
    recorder = HookRecorder(server)

    @server.on("wait")
    async def wait(socket: Socket, data: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        return await asyncio.get_running_loop().create_future()

    @server.on("later")
    async def later(socket: Socket, data: Any) -> Any:
        await asyncio.sleep(0)
        return data

    if several:
        server.on("wait", lambda: None)
    async with server, connect(server, "1") as peer:
        for number in range(3):
            await peer.send("wait", callbackId=f"w{number}")
        await wait_until(lambda: len(tasks) == 3)
        assert len(set(tasks)) == 3
        tasks[1].cancel()
        answer = await peer.receive()
        assert (answer["callbackId"], answer["error"]["code"]) == ("w1", "HANDLER_ERROR")
        assert await peer.call("later", 5) == 5
        assert [task.done() for task in tasks] == [False, True, False]
        assert [type(error) for error in recorder.errors] == [asyncio.CancelledError]
        for task in tasks:
            task.cancel()
        assert {(await peer.receive())["callbackId"] for _ in range(2)} == {"w0", "w2"}
        for number in range(20):
            await peer.send("later", number, callbackId=str(number))
        assert [(await peer.receive())["payload"] for _ in range(20)] == list(range(20))


async def test_a_handler_that_is_cancelled_before_it_waited() -> None:
    server = make_server()

    @server.on("cancel")
    async def cancel(socket: Socket, data: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return data

    @server.on("later")
    async def later(socket: Socket, data: Any) -> Any:
        await asyncio.sleep(0)
        return data

    async with server, connect(server, "1") as peer:
        for number in range(10):
            await peer.send("cancel", number, callbackId=f"c{number}")
            await peer.send("later", number, callbackId=f"l{number}")
        answers = [await peer.receive() for _ in range(20)]
        payloads = {answer["callbackId"]: answer.get("payload") for answer in answers}
        assert {payloads[f"l{number}"] for number in range(10)} == set(range(10))


async def test_a_handlers_timeout_is_its_own() -> None:
    server = make_server()

    @server.on("slow")
    async def slow() -> str:
        try:
            async with asyncio.timeout(0.02):
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.sleep(0)
            return "too slow"
        return "never"

    server.on("echo", lambda socket, data: data)
    async with server, connect(server) as peer:
        for number in range(5):
            await peer.send("slow", callbackId=str(number))
        assert {(await peer.receive())["payload"] for _ in range(5)} == {"too slow"}
        assert await peer.call("echo", 1) == 1


async def test_a_handler_that_never_ends_does_not_block_others() -> None:
    server, ended = make_server(limits=Limits(linger=0.3)), list[int]()
    recorder = HookRecorder(server)

    @server.on("endless")
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    @server.on("echo")
    async def echo(socket: Socket, data: Any) -> Any:
        return data

    async with server, connect(server, "1") as peer, connect(server, "2") as other:
        for _ in range(100):
            await peer.send("endless", callbackId="e")
        assert await peer.call("echo", 1) == 1
        assert await other.call("echo", 2) == 2
        await peer.ws.close()
        await wait_until(lambda: [socket.user for socket in server.sockets] == ["2"])
        for _ in range(100):
            await other.send("endless", callbackId="e")
        assert await other.call("echo", 3) == 3
        await wait_until(lambda: recorder.closes)
        assert len(ended) == 100  # those of the connection that is gone
    assert len(ended) == 200  # the stop cancelled the others
    assert recorder.errors == []


async def test_an_answer_to_a_disconnected_client_is_dropped() -> None:
    server, go, ended = make_server(), asyncio.Event(), list[int]()
    recorder = HookRecorder(server)

    @server.on("slow")
    async def slow(socket: Socket) -> str:
        await go.wait()
        socket.send("nobody hears it")
        ended.append(1)
        return "done"

    async with server:
        async with connect(server, "1") as peer:
            await peer.send("slow", callbackId="x")
            await peer.rest()
        await wait_until(lambda: not server.sockets)
        assert recorder.closes == []
        go.set()
        await wait_until(lambda: recorder.closes)
        assert (ended, recorder.errors) == ([1], [])


@pytest.mark.parametrize("kind", ["sync", "async", "later"])
async def test_reject_closes_the_connection(kind: str) -> None:
    server = make_server()
    recorder = HookRecorder(server)
    server.on("out", raising(Reject(4403, "out"), kind))
    async with server, connect(server, "1") as peer, connect(server, "2") as other:
        await peer.send("out")
        assert await peer.closed() == Close(4403, "out")
        assert await other.rest() == []
        await wait_until(lambda: recorder.closes)
        assert recorder.errors == []


async def test_handlers_have_context_variables_of_their_own() -> None:
    from contextvars import ContextVar

    who: ContextVar[str] = ContextVar("who", default="nobody")
    server, seen, go = make_server(), list[str](), asyncio.Event()

    @server.on("set")
    async def set_(socket: Socket, data: str) -> str:
        seen.append(who.get())
        who.set(data)
        if data == "b":
            await go.wait()
        return who.get()

    async with server, connect(server) as peer:
        assert await peer.call("set", "a") == "a"
        await peer.send("set", "b", callbackId="b")
        assert await peer.call("set", "c") == "c"
        go.set()
        assert (await peer.receive())["payload"] == "b"
        assert seen == ["nobody"] * 3
