"""Messages of emitters to rooms that keep history."""

from __future__ import annotations

import asyncio
import secrets
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from crosswire import BusUnavailable, ConfigError, Emitter, Redis
from crosswire.cluster.redis.log import announcements
from crosswire.core.positions import LogPosition, parse_position
from crosswire.testing.redis_process import RedisProcess, servers_here
from tests.integration.cluster.history.support import Heard, history_nodes
from tests.support.aio import wait_until


@pytest.fixture(scope="module", params=servers_here(), ids=lambda path: path.name)
def kept_in(request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    """Each kind of Redis that is installed."""
    with RedisProcess(request.param) as process:
        yield process


@pytest.fixture
def own_redis() -> Iterator[RedisProcess]:
    """A Redis that a test may break."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
def three() -> Iterator[list[RedisProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RedisProcess()) for _ in range(3)]


def bus_of(*servers: RedisProcess, **options: Any) -> Redis:
    return Redis([server.url for server in servers], prefix=f"test-{secrets.token_hex(4)}:", **options)


async def announced(bus: Redis, *servers: RedisProcess) -> None:
    """Wait until nodes have noted in each Redis which rooms keep history."""
    key = announcements.key(bus.prefix.encode())
    await wait_until(lambda: all(server.command("HLEN", key) > 1 for server in servers))


def offered(position: str | None) -> LogPosition | None:
    assert position is not None
    return parse_position(position)


@pytest.mark.parametrize("secret", [None, "a secret of 16 bytes"])
async def test_nodes_and_an_emitter_are_heard_in_one_order_and_recovered(
    kept_in: RedisProcess, secret: str | None
) -> None:
    bus = bus_of(kept_in, secret=secret)
    async with history_nodes(bus, "a", "b") as (a, b):
        for node in (a, b):
            await node.join("chat", "1")
        await announced(bus, kept_in)
        with Emitter(bus) as emitter:

            def send() -> None:
                for number in range(50):
                    emitter.room("chat", "1").send("said", f"e{number}")

            sending = asyncio.create_task(asyncio.to_thread(send))
            for number in range(50):
                a.room("chat", "1").send("said", f"a{number}")
                await asyncio.sleep(0)
            await sending
        for node in (a, b):
            await node.wait_for("chat", "1", 100)

        assert a.all("chat", "1") == b.all("chat", "1")
        assert len(set(a.positions("chat", "1")) - {None}) == 100
        assert [each for each in a.data("chat", "1") if each[0] == "e"] == [f"e{number}" for number in range(50)]
        for node in (a, b):
            assert not node.told("chat", "1")
            recovery = node.timeline("chat", "1").recover(
                offered(a.positions("chat", "1")[9]), rewind=0, now=0.0, max_bytes=1_000_000
            )
            assert recovery.recovered is True
            assert len(recovery.messages) == 90
        page = await b.room("chat", "1").history(limit=100)
        assert [each.data for each in page.messages] == a.data("chat", "1")


async def test_a_message_is_published_once_under_its_id_and_its_position_returned(redis_process: RedisProcess) -> None:
    bus = bus_of(redis_process)
    async with history_nodes(bus, "a") as (a,):
        await a.join("chat", "1")
        with Emitter(bus) as emitter, Emitter(bus) as other:
            first = await asyncio.to_thread(emitter.room("chat", "1").publish, "said", "x", id="order-17")
            assert await asyncio.to_thread(other.room("chat", "1").publish, "said", "x", id="order-17") == first
            assert await a.room("chat", "1").publish("said", "x", id="order-17") == first
            last = await asyncio.to_thread(emitter.room("chat", "1").publish, "said", "end")
        await a.wait_for("chat", "1", 2)
        assert a.all("chat", "1") == [Heard("x", first), Heard("end", last)]


async def test_excluded_users_are_excluded_in_the_log(redis_process: RedisProcess) -> None:
    bus = bus_of(redis_process)
    async with history_nodes(bus, "a") as (a,):
        timeline = await a.join("chat", "1")
        assert timeline is not None
        start = timeline.position
        await announced(bus, redis_process)
        with Emitter(bus) as emitter:
            await asyncio.to_thread(emitter.room("chat", "1").send, "said", 1, exclude=["7"])
        await a.wait_for("chat", "1", 1)
        (kept,) = timeline.recover(start, rewind=0, now=0.0, max_bytes=1_000_000).messages
        assert kept.excluded is not None
        assert kept.excluded.users == ("7",)


async def test_rooms_of_other_namespaces_are_published_to_as_ever(redis_process: RedisProcess) -> None:
    bus = bus_of(redis_process)
    async with history_nodes(bus, "a") as (a,):
        await a.join("other", "1")
        with Emitter(bus) as emitter:
            await asyncio.to_thread(emitter.room("other", "1").send, "said", 1)
            with pytest.raises(ConfigError, match="'other'"):
                await asyncio.to_thread(emitter.room("other", "1").publish, "said", 2)
        await a.wait_for("other", "1", 1)
        assert a.all("other", "1") == [Heard(1, None)]


async def test_without_nodes_nothing_is_kept(redis_process: RedisProcess) -> None:
    with Emitter(bus_of(redis_process)) as emitter:
        await asyncio.to_thread(emitter.room("chat", "1").send, "said", 1)
        with pytest.raises(ConfigError, match="history"):
            await asyncio.to_thread(emitter.room("chat", "1").publish, "said", 1)


async def test_a_namespace_that_is_declared_later_is_found_and_the_room_told_what_was_not_kept(
    redis_process: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosswire.emitter.announced_rooms.REFRESH_AFTER", 600.0)
    bus = bus_of(redis_process)
    async with history_nodes(bus, "a", namespace=None) as (a,):
        with Emitter(bus) as emitter:
            await asyncio.to_thread(emitter.room("chat", "1").send, "said", 0)  # now it believes that it knows
            a.history("chat", size=100, ttl=60)
            timeline = await a.join("chat", "1")
            assert timeline is not None
            await wait_until(lambda: timeline.position is not None)
            before = timeline.position
            await asyncio.to_thread(emitter.room("chat", "1").send, "said", 1)
            await a.wait_for("chat", "1", 1)
            assert a.positions("chat", "1") == [None]
            assert timeline.recover(before, rewind=0, now=0.0, max_bytes=1_000_000).recovered is False
            position = await asyncio.to_thread(emitter.room("chat", "1").publish, "said", 2)
            await wait_until(lambda: a.positions("chat", "1")[-1] == position)


async def test_scripts_that_are_flushed_are_loaded_again(redis_process: RedisProcess) -> None:
    bus = bus_of(redis_process)
    async with history_nodes(bus, "a") as (a,):
        await a.join("chat", "1")
        await announced(bus, redis_process)
        with Emitter(bus) as emitter:
            for number in range(6):
                if number % 2:
                    redis_process.command("SCRIPT", "FLUSH")
                await asyncio.to_thread(emitter.room("chat", "1").send, "said", number)
        await a.wait_for("chat", "1", 6)
        assert a.data("chat", "1") == list(range(6))
        assert None not in a.positions("chat", "1")


async def test_threads_share_an_emitter(redis_process: RedisProcess) -> None:
    bus = bus_of(redis_process)
    async with history_nodes(bus, "a") as (a,):
        await a.join("chat", "1")
        await announced(bus, redis_process)
        with Emitter(bus) as emitter:

            def send(name: int) -> None:
                for number in range(25):
                    emitter.room("chat", "1").send("said", [name, number])

            await asyncio.gather(*(asyncio.to_thread(send, name) for name in range(4)))
        await a.wait_for("chat", "1", 100)
        for name in range(4):
            assert [each for each in a.data("chat", "1") if each[0] == name] == [[name, each] for each in range(25)]
        assert None not in a.positions("chat", "1")


async def test_a_full_redis_refuses_and_nobody_hears_the_message(own_redis: RedisProcess) -> None:
    bus = bus_of(own_redis)
    async with history_nodes(bus, "a") as (a,):
        await a.join("chat", "1")
        await announced(bus, own_redis)
        with Emitter(bus) as emitter:
            await asyncio.to_thread(emitter.room("chat", "1").send, "said", 1)
            own_redis.command("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(BusUnavailable, match=r"not kept, and nobody has got it"):
                await asyncio.to_thread(emitter.room("chat", "1").send, "said", 2)
            own_redis.command("CONFIG", "SET", "maxmemory", "0")
            await asyncio.to_thread(emitter.room("chat", "1").send, "said", 3)
        await a.wait_for("chat", "1", 2)
        assert a.data("chat", "1") == [1, 3]
        assert not a.told("chat", "1")


async def test_a_redis_that_starts_anew_and_empty_begins_a_new_epoch(own_redis: RedisProcess) -> None:
    bus = bus_of(own_redis)
    async with history_nodes(bus, "a") as (a,):
        await a.join("chat", "1")
        await announced(bus, own_redis)
        with Emitter(bus) as emitter:
            first = await asyncio.to_thread(emitter.room("chat", "1").publish, "said", 1)
            own_redis.kill()
            with pytest.raises(BusUnavailable):
                await asyncio.to_thread(emitter.room("chat", "1").send, "said", 2)
            own_redis.start()
            await announced(bus, own_redis)
            last = await asyncio.to_thread(emitter.room("chat", "1").publish, "said", 3)
        assert str(first).partition(".")[0] != str(last).partition(".")[0]
        await wait_until(lambda: a.positions("chat", "1")[-1:] == [last], 20)
        assert [each.reason for each in a.told("chat", "1")][-1:] == ["epoch"]


class Cutting:
    """A proxy in front of a Redis that, when told to, cuts the connection instead of passing the next answer on."""

    def __init__(self, redis: RedisProcess) -> None:
        self.cut = threading.Event()
        self._redis = redis
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._redis.port)) as server:
            while True:
                for source in select.select((client, server), (), ())[0]:
                    data = source.recv(65536)
                    if source is server and self.cut.is_set():
                        self.cut.clear()
                        return
                    if not data:
                        return
                    (server if source is client else client).sendall(data)


@pytest.fixture
def cutting(redis_process: RedisProcess) -> Iterator[Cutting]:
    proxy = Cutting(redis_process)
    yield proxy
    proxy.close()


async def test_a_message_whose_answer_is_lost_is_sent_again_and_heard_once(
    redis_process: RedisProcess, cutting: Cutting, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"test-{secrets.token_hex(4)}:"
    bus, by_proxy = Redis(redis_process.url, prefix=prefix), Redis(cutting.url, prefix=prefix)
    holder = cutting.url.removeprefix("redis://")
    monkeypatch.setattr("crosswire.emitter.announced_rooms.AnnouncedRooms.holder", lambda _self, _channel: holder)
    async with history_nodes(bus, "a") as (a,):
        await a.join("chat", "1")
        await announced(bus, redis_process)
        with Emitter(by_proxy) as emitter:
            await asyncio.to_thread(emitter.room("chat", "1").publish, "said", 0)
            cutting.cut.set()
            await asyncio.to_thread(emitter.room("chat", "1").publish, "said", 1)
            assert not cutting.cut.is_set()
            last = await asyncio.to_thread(emitter.room("chat", "1").publish, "said", 2)
        await wait_until(lambda: a.positions("chat", "1")[-1:] == [last])
        assert a.data("chat", "1") == [0, 1, 2]


async def test_with_several_redis_each_room_is_kept_where_nodes_keep_it(three: list[RedisProcess]) -> None:
    bus = bus_of(*three)
    rooms = [str(number) for number in range(12)]
    async with history_nodes(bus, "a", "b") as (a, b):
        for room in rooms:
            await a.join("chat", room)
        await announced(bus, *three)
        with Emitter(bus) as emitter:

            def send() -> None:
                for room in rooms:
                    emitter.room("chat", room).send("said", "emitter")

            await asyncio.to_thread(send)
        for room in rooms:
            await b.room("chat", room).publish("said", "node")
            await a.wait_for("chat", room, 2)
            assert len({str(each).partition(".")[0] for each in a.positions("chat", room)}) == 1
            assert not a.told("chat", room)
        assert sum(server.command("EXISTS", *keys_of(bus, rooms)) > 0 for server in three) > 1


def keys_of(bus: Redis, rooms: list[str]) -> list[str]:
    return [f"{bus.prefix}m{{4:chat{room}}}" for room in rooms]


async def test_a_room_whose_redis_is_gone_gets_nothing_and_others_go_on(three: list[RedisProcess]) -> None:
    bus = bus_of(*three)
    rooms = [str(number) for number in range(12)]
    async with history_nodes(bus, "a") as (a,):
        for room in rooms:
            await a.join("chat", room)
        await announced(bus, *three)
        held = [room for room in rooms if three[0].command("EXISTS", *keys_of(bus, [room]))]
        assert 0 < len(held) < len(rooms)
        with Emitter(bus) as emitter:
            await asyncio.to_thread(emitter.room("chat", held[0]).publish, "said", 1)
            await a.wait_for("chat", held[0], 1)  # else it may be lost with the Redis, which had told the emitter first
            three[0].kill()
            for room in rooms:
                if room in held:
                    with pytest.raises(BusUnavailable, match="not kept, and nobody has got it"):
                        await asyncio.to_thread(emitter.room("chat", room).send, "said", 2)
                else:
                    await asyncio.to_thread(emitter.room("chat", room).send, "said", 2)
        for room in set(rooms) - set(held):
            await a.wait_for("chat", room, 1)
        assert a.data("chat", held[0]) == [1]


async def test_an_emitter_is_told_that_a_room_has_moved_to_a_redis_it_does_not_know(three: list[RedisProcess]) -> None:
    bus = bus_of(*three)
    prefix = bus.prefix
    async with history_nodes(bus, "a"):
        await announced(bus, *three)
        with Emitter(Redis(three[0].url, prefix=prefix)) as emitter:

            def publish_all() -> list[str]:
                texts: list[str] = []
                for room in range(12):
                    try:
                        emitter.room("chat", str(room)).publish("said", room)
                    except BusUnavailable as error:
                        texts.append(str(error))
                return texts

            texts = await asyncio.to_thread(publish_all)
        assert 0 < len(texts) < 12
        assert all("make another one" in text for text in texts)


async def test_what_nodes_declare_is_noted_with_its_size_and_life(redis_process: RedisProcess) -> None:
    bus = bus_of(redis_process)
    async with history_nodes(bus, "a", "b") as (_, b):
        b.history("chat", size=7, ttl=600)

        def said() -> announcements.Announcement:
            key = announcements.key(bus.prefix.encode())
            notes = redis_process.command("HGETALL", key)
            return announcements.read([each.encode() for each in notes], redis_process.command("TIME"))

        await wait_until(lambda: said().namespaces.get("chat") == (1000, 600.0))
        assert said().holders == (redis_process.url.removeprefix("redis://"),)
        assert 0 < redis_process.command("PTTL", announcements.key(bus.prefix.encode())) <= announcements.LIFE
