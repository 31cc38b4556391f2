"""What an emitter sends, and who gets it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest

from crosswire import ConfigError, Emitter, InvalidPayload, Node, NotConnected, Redis, Server, UsageError
from tests.integration.cluster.support import (
    RecordingHandler,
    clients,
    connection_of,
    received,
    running_nodes,
    running_servers,
)
from tests.integration.server.support import raw_connect, user_in_query
from tests.support.aio import wait_until

THREADS, MESSAGES = 8, 200
EMITTERS = 50

# Users 1 and 2 are on server a, 3 on b; 1 and 3 are in the room. The same for a node and for an emitter.
SENDS: list[tuple[Callable[[Node | Emitter], object], str]] = [
    (lambda sender: sender.everyone.send("x"), "123"),
    (lambda sender: sender.everyone.send("x", exclude=["3", "99"]), "12"),
    (lambda sender: sender.user("1").send("x"), "1"),
    (lambda sender: sender.user("1").send("x", exclude=["1"]), ""),
    (lambda sender: sender.user("99").send("x"), ""),
    (lambda sender: sender.users(["1", "3", "99", "3"]).send("x"), "13"),
    (lambda sender: sender.users(["1", "3"]).send("x", exclude=["3"]), "1"),
    (lambda sender: sender.users([]).send("x"), ""),
    (lambda sender: sender.room("chat", "r").send("x"), "13"),
    (lambda sender: sender.room("chat", "r").send("x", exclude=["1"]), "3"),
    (lambda sender: sender.room("chat", "other").send("x"), ""),
]


@pytest.mark.parametrize("kind", ["node", "emitter"])
async def test_a_message_reaches_its_audience_and_nobody_else(redis_bus: Redis, kind: str) -> None:
    async with running_nodes(redis_bus, "worker") as (worker,), running_servers(redis_bus, "a", "b") as (a, b):
        with Emitter(redis=redis_bus) as emitter:
            sender = worker if kind == "node" else emitter
            async with clients({"1": a, "2": a, "3": b}) as peers:
                for user in "13":
                    await peers[user].call("join", ["chat", "r"])
                for number, (send, _) in enumerate(SENDS):
                    send(sender)
                    sender.users(["1", "2", "3"]).send("mark", number)
                sender.everyone.send("end")
                for user, peer in peers.items():
                    expected: list[Any] = []
                    for number, (_, whom) in enumerate(SENDS):
                        expected += [("x", None)] * (user in whom) + [("mark", number)]
                    assert await received(peer) == expected
                assert [server.cluster.gaps for server in (a, b)] == [0, 0]
                assert set(a.cluster.nodes) == {"a", "b", "worker"}


async def test_a_socket_can_be_excluded_by_its_id(redis_bus: Redis) -> None:
    async with running_servers(redis_bus, "a", duplicates="allow") as (a,), clients({"1": a}) as peers:
        with Emitter(redis=redis_bus) as emitter:
            emitter.everyone.send("x", exclude=list(a.sockets))
            emitter.everyone.send("end")
        assert await received(peers["1"]) == []


async def test_data_arrives_as_its_json_form(redis_bus: Redis) -> None:
    data = {"day": date(2026, 1, 2), "bytes": b"\x00", "text": "ü", "list": (1, 2.5, None)}
    async with running_servers(redis_bus, "a") as (a,), clients({"1": a}) as peers:
        with Emitter(redis=redis_bus) as emitter:
            emitter.user("1").send("x", data)
            with pytest.raises(InvalidPayload):
                emitter.user("1").send("x", object())
            emitter.user("1").send("end")
        assert await received(peers["1"]) == [
            ("x", {"day": "2026-01-02", "bytes": "AA==", "text": "ü", "list": [1, 2.5, None]})
        ]


async def test_nodes_get_events_in_order(redis_bus: Redis) -> None:
    async with running_nodes(redis_bus, "a", "b") as (a, b):
        heard_a, heard_b = RecordingHandler(), RecordingHandler()
        a.on("x", heard_a)
        b.on("x", heard_b)
        with Emitter(redis=redis_bus) as emitter:
            for number in range(5):
                emitter.send("x", number)
            emitter.send("x", b"\x00", to="a")
            emitter.send("x", "last", to=["a", "b", "a", "nobody"])
        await wait_until(lambda: len(heard_a.calls) == 7 and len(heard_b.calls) == 6)
        assert [data for _, data in heard_a.calls] == [*range(5), b"\x00", "last"]
        assert [data for _, data in heard_b.calls] == [*range(5), "last"]
        assert len({sender for sender, _ in heard_a.calls + heard_b.calls}) == 1
        assert set(a.nodes) == {"a", "b"}


@pytest.mark.parametrize("strategy", ["hash", "round-robin", "random", "fastest"])
async def test_messages_of_short_lived_emitters_are_neither_held_back_nor_taken_for_a_gap(
    redis_bus: Redis, strategy: Any
) -> None:
    bus = Redis(redis_bus.urls, prefix=redis_bus.prefix, strategy=strategy)
    async with running_servers(bus, "a", "b") as (a, b), clients({"1": a, "2": b}) as peers:
        for user in "12":
            await peers[user].call("join", ["chat", "r"])
        expected = []
        for number in range(EMITTERS):
            with Emitter(redis=bus) as emitter:
                for audience in (emitter.everyone, emitter.room("chat", "r"), emitter.users(["1", "2"])):
                    for part in range(2):
                        audience.send("x", [number, part])
                        expected.append(("x", [number, part]))
                # The next emitter begins when this one's messages have arrived: one that is held back is noticed.
            for peer in peers.values():
                for each in expected[-6:]:
                    event = await peer.receive(timeout=20)
                    assert (event.event, event.data) == each
        assert [server.cluster.gaps for server in (a, b)] == [0, 0]


async def test_each_threads_messages_arrive_once_and_in_order(redis_bus: Redis) -> None:
    async with running_servers(redis_bus, "a") as (a,), clients({"1": a}) as peers:
        await peers["1"].call("join", ["chat", "r"])
        with Emitter(redis=redis_bus) as emitter:
            audiences = (emitter.everyone, emitter.user("1"), emitter.room("chat", "r"))
            together = threading.Barrier(THREADS, timeout=20)

            def work(thread: int) -> None:
                together.wait()
                for number in range(MESSAGES):
                    audiences[number % 3].send("x", [thread, number])

            loop = asyncio.get_running_loop()
            with ThreadPoolExecutor(THREADS) as pool:
                await asyncio.gather(*(loop.run_in_executor(pool, work, thread) for thread in range(THREADS)))
            emitter.everyone.send("end")
        got = [data for _, data in await received(peers["1"])]
        for thread in range(THREADS):
            assert [number for sender, number in got if sender == thread] == list(range(MESSAGES))
        assert len(got) == THREADS * MESSAGES
        assert a.cluster.gaps == 0


async def test_a_closed_emitter_refuses_to_send(redis_bus: Redis) -> None:
    with Emitter(redis=redis_bus) as emitter:
        emitter.everyone.send("x")
    for send in (emitter.everyone.send, emitter.send):
        with pytest.raises(NotConnected, match="closed"):
            send("x")
    emitter.close()
    assert "closed" in repr(emitter)


async def test_closing_ends_the_sends_of_other_threads(redis_bus: Redis) -> None:
    emitter, begun, errors = Emitter(redis=redis_bus), threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            while True:
                emitter.everyone.send("x")
                begun.set()
        except NotConnected as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    await wait_until(begun.is_set)
    await asyncio.to_thread(emitter.close)
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len(errors) == len(threads)


def test_misuse_raises_where_it_is_made(redis_bus: Redis) -> None:
    with pytest.raises(ConfigError, match="redis"):
        Emitter(redis=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="url"):
        Emitter(redis="http://localhost")
    with Emitter(redis=redis_bus) as emitter:
        for misuse in (
            lambda: emitter.user(13),  # type: ignore[arg-type]
            lambda: emitter.users("13"),
            lambda: emitter.room("chat", ""),
            lambda: emitter.everyone.send(""),
            lambda: emitter.everyone.send("$ready"),
            lambda: emitter.everyone.send("x", exclude="13"),
            lambda: emitter.send(""),
            lambda: emitter.send("x", to=[""]),
        ):
            with pytest.raises(UsageError):
                misuse()


def test_its_repr_shows_no_password() -> None:
    emitter = Emitter(redis="redis://:secret@127.0.0.1:1")
    assert "secret" not in repr(emitter)
    assert "127.0.0.1:1" in repr(emitter)


async def test_members_are_remembered_until_they_leave(redis_bus: Redis) -> None:
    """Unlike emitters, which are forgotten when they are silent."""
    async with running_nodes(redis_bus, "a") as (a,):
        remembered = connection_of(a).port._receivers._silent.members
        async with running_nodes(redis_bus, "b") as (b,):
            await wait_until(lambda: remembered == {bytes.fromhex(b.incarnation)})
            with Emitter(redis=redis_bus) as emitter:
                emitter.send("x")
        await wait_until(lambda: not remembered)


async def test_the_policy_of_a_message_travels_with_it(redis_bus: Redis) -> None:
    server = Server("a", port=0, redis=redis_bus)
    server.authenticate(user_in_query)
    async with server, raw_connect(server, "slow", receive_buffer=65536) as peer:
        await wait_until(lambda: server.socket_of("slow") is not None)
        socket = server.socket_of("slow")
        assert socket is not None
        while socket.buffered < 100_000:
            socket.send("fill", "x" * 10_000)
            await asyncio.sleep(0)
        with Emitter(redis_bus) as emitter:

            def send() -> None:
                for number in range(20):
                    emitter.everyone.send("price", {"item": 1, "n": number}, policy="latest", key="item")
                    emitter.user("slow").send("cursor", number, policy="volatile")
                with pytest.raises(UsageError):
                    emitter.everyone.send("price", {"item": 1}, policy="newest")  # type: ignore[arg-type]
                with pytest.raises(InvalidPayload):
                    emitter.everyone.send("price", {}, policy="latest", key="item")

            await asyncio.to_thread(send)

        async def all_came() -> None:
            while sum((await server.cluster.status())["a"].skipped.values()) < 39:  # noqa: ASYNC110 - it is asked
                await asyncio.sleep(0.01)

        await asyncio.wait_for(all_came(), 10)
        socket.send("end")
        prices: list[Any] = []
        while (message := json.loads((await peer.frame())[1]))["event"] != "end":
            prices += [message["payload"]] if message["event"] != "fill" else []
    assert prices == [{"item": 1, "n": 19}]
