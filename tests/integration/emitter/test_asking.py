"""What an emitter asks of nodes: counting, closing, calls."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from crosswire import (
    BusUnavailable,
    CallTimeout,
    Close,
    Emitter,
    EventError,
    InvalidPayload,
    Node,
    NodeGone,
    NotConnected,
    Redis,
    Replies,
    Tally,
    UsageError,
)
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.node_program import program
from tests.integration.cluster.support import clients, running_nodes, running_servers
from tests.support.aio import wait_until

START_TIMEOUT = 30.0


async def asked(asker: Node | Emitter, question: Callable[[Any], Any]) -> Any:
    """Ask as the application does: a node is awaited, an emitter blocks a thread."""
    answer = await asyncio.to_thread(question, asker) if isinstance(asker, Emitter) else question(asker)
    return await answer if inspect.isawaitable(answer) else answer


COUNTS: list[tuple[Callable[[Any], Any], int]] = [
    (lambda asker: asker.everyone.count(), 3),
    (lambda asker: asker.user("1").count(), 1),
    (lambda asker: asker.user("99").count(), 0),
    (lambda asker: asker.users(["1", "3", "99", "1"]).count(), 2),
    (lambda asker: asker.room("chat", "r").count(), 2),
    (lambda asker: asker.room("chat", "other").count(), 0),
]


@pytest.mark.parametrize("kind", ["node", "emitter"])
async def test_users_are_counted(redis_bus: Redis, kind: str) -> None:
    async with running_nodes(redis_bus, "worker") as (worker,), running_servers(redis_bus, "a", "b") as (a, b):
        with Emitter(redis=redis_bus) as emitter:
            asker = worker if kind == "node" else emitter
            async with clients({"1": a, "2": a, "3": b}) as peers:
                for user in "13":
                    await peers[user].call("join", ["chat", "r"])
                for question, expected in COUNTS:
                    count = await asked(asker, question)
                    assert isinstance(count, Tally)
                    assert (count, count.missing) == (expected, ())
                assert set(worker.nodes) == {"a", "b", "worker"}


@pytest.mark.parametrize("kind", ["node", "emitter"])
async def test_connections_are_closed(redis_bus: Redis, kind: str) -> None:
    async with running_nodes(redis_bus, "worker") as (worker,), running_servers(redis_bus, "a", "b") as (a, b):
        with Emitter(redis=redis_bus) as emitter:
            asker = worker if kind == "node" else emitter
            async with clients({"1": a, "2": a, "3": b}) as peers:
                await peers["3"].call("join", ["chat", "r"])
                replies = await asked(asker, lambda asker: asker.user("1").close(4001, "one"))
                assert isinstance(replies, Replies)
                assert (dict(replies), replies.complete) == ({"a": 1, "b": 0}, True)
                replies = await asked(asker, lambda asker: asker.room("chat", "r").close(4002))
                assert dict(replies) == {"a": 0, "b": 1}
                replies = await asked(asker, lambda asker: asker.everyone.close())
                assert dict(replies) == {"a": 1, "b": 0}
                assert await peers["1"].closed() == Close(4001, "one")
                assert await peers["2"].closed() == Close(1000, "")
                assert await peers["3"].closed() == Close(4002, "")


async def test_without_any_node_there_is_nobody(redis_bus: Redis) -> None:
    with Emitter(redis=redis_bus) as emitter:
        assert emitter.everyone.count() == Tally(0)
        assert emitter.everyone.close() == Replies()
        with pytest.raises(NodeGone):
            emitter.call("a", "x")


class Sum(msgspec.Struct):
    sum: int


@pytest.mark.parametrize("kind", ["node", "emitter"])
async def test_a_node_is_called(redis_bus: Redis, kind: str) -> None:
    async with running_nodes(redis_bus, "worker", "a") as (worker, a):
        a.on("add", lambda sender, data: {"sum": sum(data)})
        a.on("bytes", lambda sender, data: data + b"\x00")

        @a.on("refuse")
        def refuse() -> None:
            raise EventError("full", "it is full")

        @a.on("hang")
        async def hang() -> None:
            await asyncio.sleep(60)

        with Emitter(redis=redis_bus) as emitter:
            asker = worker if kind == "node" else emitter
            assert await asked(asker, lambda asker: asker.call("a", "add", [1, 2])) == {"sum": 3}
            assert await asked(asker, lambda asker: asker.call("a", "add", [1, 2], type=Sum)) == Sum(3)
            assert await asked(asker, lambda asker: asker.call("a", "bytes", b"\x01")) == b"\x01\x00"
            with pytest.raises(InvalidPayload) as invalid:
                await asked(asker, lambda asker: asker.call("a", "add", [1], type=int))
            assert invalid.value.sender == "a"
            with pytest.raises(EventError, match="full: it is full") as refused:
                await asked(asker, lambda asker: asker.call("a", "refuse"))
            assert refused.value.sender == "a"
            with pytest.raises(EventError, match="NO_HANDLER"):
                await asked(asker, lambda asker: asker.call("a", "unknown"))
            with pytest.raises(CallTimeout, match=r"'a' did not answer 'hang' within 0\.05 s"):
                await asked(asker, lambda asker: asker.call("a", "hang", timeout=0.05))
            with pytest.raises(NodeGone, match="nobody"):
                await asked(asker, lambda asker: asker.call("nobody", "add"))
            with pytest.raises(InvalidPayload):
                await asked(asker, lambda asker: asker.call("a", "add", object()))
            for wrong in ("", 5):
                with pytest.raises(UsageError):
                    await asked(asker, lambda asker, wrong=wrong: asker.call(wrong, "add"))  # type: ignore[misc]
            with pytest.raises(UsageError):
                await asked(asker, lambda asker: asker.call("a", "add", timeout=0))
            assert set(worker.nodes) == {"a", "worker"}


async def test_threads_ask_and_send_at_the_same_time(redis_bus: Redis) -> None:
    async with running_nodes(redis_bus, "a") as (a,), running_servers(redis_bus, "s") as (s,):
        a.on("echo", lambda sender, data: data)
        async with clients({"1": s}):
            with Emitter(redis=redis_bus) as emitter:

                def work(thread: int) -> None:
                    for number in range(5):
                        emitter.everyone.send("x")
                        assert emitter.call("a", "echo", [thread, number]) == [thread, number]
                        assert emitter.everyone.count() == 1

                await asyncio.gather(*(asyncio.to_thread(work, thread) for thread in range(4)))


async def test_a_node_that_dies_while_it_is_asked_is_gone(redis_bus: Redis, redis_process: RedisProcess) -> None:
    async with running_nodes(redis_bus, "a") as (a,):
        with program("b", redis_process, redis_bus) as b, Emitter(redis=redis_bus) as emitter:
            await wait_until(lambda: "b" in a.nodes, START_TIMEOUT)
            assert await asyncio.to_thread(emitter.call, "b", "echo", 1) == ["b", 1]
            asking: asyncio.Task[Any] = asyncio.create_task(asyncio.to_thread(emitter.call, "b", "hang", timeout=60))
            await asyncio.to_thread(emitter.call, "b", "echo")  # the other is at work by now
            b.signal(signal.SIGKILL)
            with pytest.raises(NodeGone):
                await asking


async def test_a_server_that_hangs_or_dies_is_missing(redis_bus: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_servers(redis_bus, "a", "b") as (a, b), clients({"1": a, "2": b}):
        handlers = b.cluster._lifecycle._responders.services._events
        with Emitter(redis=redis_bus) as emitter:

            async def never(*_args: object) -> None:
                await asyncio.Event().wait()

            handlers.off("count")
            handlers.on("count", never)
            monkeypatch.setattr("crosswire.emitter.requests.SERVICE_TIMEOUT", 0.3)
            count = await asyncio.to_thread(emitter.everyone.count)
            assert (int(count), count.missing) == (1, ("b",))
            monkeypatch.setattr("crosswire.emitter.requests.SERVICE_TIMEOUT", 60)
            asking = asyncio.create_task(asyncio.to_thread(emitter.everyone.count))
            await wait_until(lambda: len(b.cluster._lifecycle._handlers) == 2)
            await b.stop()
            count = await asking
            assert (int(count), count.missing) == (1, ("b",))


@pytest.fixture
def servers() -> Iterator[list[RedisProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RedisProcess()) for _ in range(2)]


@pytest.mark.parametrize("strategy", ["hash", "round-robin"])
async def test_over_several_redis_of_which_one_dies(servers: list[RedisProcess], strategy: Any) -> None:
    bus = Redis([server.url for server in servers], strategy=strategy)
    async with running_nodes(bus, "n") as (n,), running_servers(bus, "a", "b") as (a, b), clients({"1": a, "2": b}):
        n.on("echo", lambda sender, data: data)
        with Emitter(redis=bus) as emitter:

            def ask() -> tuple[int, int]:
                return int(emitter.everyone.count()), emitter.call("n", "echo", 5)

            for _ in range(3):
                assert await asyncio.to_thread(ask) == (2, 5)
            servers[0].kill()
            await wait_until(lambda: not all(status.healthy for status in n.redis.status()))
            for _ in range(3):
                assert await asyncio.to_thread(ask) == (2, 5)


async def test_a_redis_that_is_gone_and_an_emitter_that_is_closed(servers: list[RedisProcess]) -> None:
    emitter = Emitter(redis=servers[0].url)
    servers[0].kill()
    for question in (emitter.everyone.count, emitter.everyone.close, lambda: emitter.call("a", "x")):
        with pytest.raises(BusUnavailable, match=str(servers[0].port)):
            question()
    emitter.close()
    for question in (emitter.everyone.count, emitter.everyone.close, lambda: emitter.call("a", "x")):
        with pytest.raises(NotConnected):
            question()
    with pytest.raises(UsageError):
        emitter.everyone.close(1)


@pytest.mark.parametrize("late", [False, True])
async def test_nodes_that_do_not_answer_are_told(redis_bus: Redis, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    """Nodes that hold their services, as they have just started, do not answer."""
    async with running_servers(redis_bus, "a") as (a,):
        a.cluster._lifecycle._responders.services.hold()
        monkeypatch.setattr("crosswire.emitter.requests.SERVICE_TIMEOUT", 60 if late else 0.1)
        with Emitter(redis=redis_bus) as emitter:
            asking = asyncio.create_task(asyncio.to_thread(emitter.everyone.count))
            if late:
                await wait_until(lambda: a.cluster._lifecycle._responders.services._held)
                a.cluster._lifecycle._responders.services.release()
                assert await asking == 0
            else:
                with pytest.raises(BusUnavailable, match="none of 1 nodes answers"):
                    await asking
