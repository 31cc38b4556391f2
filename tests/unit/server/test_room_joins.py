from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from crosswire.core.formats import frame_format
from crosswire.core.limits import Limits
from crosswire.core.positions import LogPosition
from crosswire.core.targets import Excluded, ToRoom
from crosswire.errors import BusUnavailable, ConfigError, EventError, NotConnected, UsageError
from crosswire.runtime import environment
from crosswire.server.authentication import Verdict
from crosswire.server.session import Session
from crosswire.server.socket import Socket
from tests.support.aio import wait_until
from tests.support.fakes import FakeConnection, FakeServer, payloads
from tests.support.history import EPOCH, ROOM, HistoryChannels
from tests.support.loops import on_instant_loop


@asynccontextmanager
async def history_server(**limits: Any) -> AsyncIterator[tuple[FakeServer, HistoryChannels]]:
    server = FakeServer(Limits(**limits), duplicates="allow")
    channels = HistoryChannels(server)
    channels.attach()
    try:
        yield server, channels
    finally:
        await server.end()


async def until_let_in(session: Session, connection: FakeConnection) -> None:
    await wait_until(lambda: session.ready_wait is None)  # it is announced to other servers
    connection.frames.clear()


async def connected(server: FakeServer, target: str = "/?_cw=2", user: str = "13") -> tuple[Socket, FakeConnection]:
    session, connection = server.connect(Verdict(user=user), target=target)
    await until_let_in(session, connection)
    return session.socket, connection


def told(at: str | None, recovered: bool | None, reason: str | None = None, room: ToRoom = ROOM) -> dict[str, Any]:
    payload = {"room": [room.namespace, room.id], "at": at, "recovered": recovered, "reason": reason}
    return {"event": "$room", "payload": payload}


PACKED = frame_format(msgpack=True, window_bits=0)


def said(*offsets: int) -> list[dict[str, Any]]:
    return [{"event": "said", "payload": f"{offset}", "at": f"{EPOCH}.{offset}"} for offset in offsets]


LEFT = {"event": "$left", "payload": {"room": ["chat", "1"]}}


async def messages(connection: FakeConnection) -> list[Any]:
    """Return what was pushed since the last call, once the turn has ended."""
    await asyncio.sleep(0)
    found = connection.messages
    connection.frames.clear()
    return found


def say(channels: HistoryChannels, *offsets: int, excluded: Excluded | None = None) -> None:
    for offset in offsets:
        channels.say(str(offset), excluded)


@on_instant_loop
async def test_a_first_join_has_a_position_and_nothing_else() -> None:
    async with history_server() as (server, channels):
        say(channels, 1, 2)
        socket, connection = await connected(server)
        await socket.join("chat", "1")
        say(channels, 3)
        assert await messages(connection) == [told(f"{EPOCH}.2", None), *said(3)]
        assert socket.rooms == {"chat": {"1"}}


@on_instant_loop
async def test_a_client_that_comes_back_gets_what_it_missed_before_anything_else() -> None:
    async with history_server() as (server, channels):
        say(channels, 1, 2, 3, 4)
        other, _ = await connected(server, user="other")
        await other.join("chat", "1")
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.2,zzzzzzzz.9")
        await socket.join("chat", "1")
        say(channels, 5)
        assert await messages(connection) == [told(f"{EPOCH}.2", True), *said(3, 4, 5)]


@on_instant_loop
async def test_messages_of_the_turn_in_which_it_joins_come_once() -> None:
    async with history_server() as (server, channels):
        other, heard = await connected(server, user="other")
        await other.join("chat", "1")
        say(channels, 1)
        await messages(heard)
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        join = asyncio.ensure_future(socket.join("chat", "1"))
        channels.readable.clear()
        await wait_until(lambda: channels.waiting == 1)
        say(channels, 2)  # held by the fan-out until the turn ends
        channels.readable.set()
        say(channels, 3)
        await join
        say(channels, 4)
        assert await messages(connection) == [told(f"{EPOCH}.1", True), *said(2, 3, 4)]
        assert await messages(heard) == said(2, 3, 4)


@on_instant_loop
@pytest.mark.parametrize("target", ["/", "/?_cw=1", f"/?_cw=1&_cw_at={EPOCH}.1"])
async def test_other_clients_get_messages_and_are_told_nothing(target: str) -> None:
    async with history_server() as (server, channels):
        say(channels, 1, 2)
        socket, connection = await connected(server, target)
        await socket.join("chat", "1")
        say(channels, 3)
        await asyncio.sleep(0)
        server.clients.room_changed(ROOM, LogPosition(EPOCH, 3), "trimmed")
        await socket.leave("chat", "1")
        assert await messages(connection) == said(3)


@on_instant_loop
@pytest.mark.parametrize(
    ("offered", "reason"), [(f"{EPOCH}.3", "ahead"), ("zzzzzzzz.1", None), (f"{EPOCH}.x", None), ("", None)]
)
async def test_a_position_that_is_no_good_is_never_recovered(offered: str, reason: str | None) -> None:
    async with history_server() as (server, channels):
        say(channels, 1, 2)
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={offered}")
        await socket.join("chat", "1")
        assert await messages(connection) == [told(f"{EPOCH}.2", False if reason else None, reason)]


@on_instant_loop
async def test_a_position_is_good_for_one_join() -> None:
    async with history_server() as (server, channels):
        say(channels, 1, 2)
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        await socket.join("chat", "1")
        await socket.leave("chat", "1")
        await socket.join("chat", "1")
        assert await messages(connection) == [told(f"{EPOCH}.1", True), *said(2), LEFT, told(f"{EPOCH}.2", None)]


@on_instant_loop
async def test_a_second_join_of_a_member_does_nothing() -> None:
    async with history_server() as (server, channels):
        say(channels, 1, 2)
        socket, connection = await connected(server)
        await socket.join("chat", "1")
        await socket.join("chat", "1", rewind=2)
        assert await messages(connection) == [told(f"{EPOCH}.2", None)]


@on_instant_loop
async def test_two_joins_at_once_are_one() -> None:
    async with history_server() as (server, channels):
        say(channels, 1)
        socket, connection = await connected(server)
        await asyncio.gather(socket.join("chat", "1", rewind=1), socket.join("chat", "1", rewind=1))
        assert await messages(connection) == [told(f"{EPOCH}.0", None), *said(1)]


@on_instant_loop
async def test_rewinding_gives_the_last_messages_to_a_client_without_a_position() -> None:
    async with history_server() as (server, channels):
        say(channels, *range(1, 6))
        for target, rewind, expected in [
            ("/?_cw=2", 2, [told(f"{EPOCH}.3", None), *said(4, 5)]),
            ("/?_cw=2", 100, [told(f"{EPOCH}.0", None), *said(1, 2, 3, 4, 5)]),
            (f"/?_cw=2&_cw_at={EPOCH}.4", 3, [told(f"{EPOCH}.4", True), *said(5)]),
            (f"/?_cw=2&_cw_at={EPOCH}.9", 1, [told(f"{EPOCH}.4", False, "ahead"), *said(5)]),
            ("/", 1, said(5)),
        ]:
            socket, connection = await connected(server, target)
            await socket.join("chat", "1", rewind=rewind)
            assert await messages(connection) == expected


@on_instant_loop
@pytest.mark.parametrize("rewind", [-1, True, 1.5, "2", None])
async def test_only_a_number_of_messages_can_be_rewound(rewind: Any) -> None:
    async with history_server() as (server, channels):
        socket, _ = await connected(server)
        with pytest.raises(UsageError, match="rewind"):
            await socket.join("chat", "1", rewind=rewind)
        assert (socket.rooms, channels.subscribed) == ({}, {})


@on_instant_loop
async def test_a_namespace_without_history_has_nothing_to_rewind() -> None:
    async with history_server() as (server, channels):
        socket, _ = await connected(server)
        with pytest.raises(ConfigError, match="history"):
            await socket.join("game", "1", rewind=1)
        assert channels.subscribed == {}


@on_instant_loop
async def test_messages_that_exclude_the_user_are_left_out() -> None:
    async with history_server() as (server, channels):
        say(channels, 1)
        say(channels, 2, 4, excluded=Excluded(("13", "14")))
        say(channels, 3, excluded=Excluded(("other",)))
        channels.log["chat", "1"].sort(key=lambda kept: kept.offset)
        for user, target, expected in [
            ("13", f"/?_cw=2&_cw_at={EPOCH}.1", [told(f"{EPOCH}.1", True), *kept(channels, 4)]),
            ("12", f"/?_cw=2&_cw_at={EPOCH}.1", [told(f"{EPOCH}.1", True), *kept(channels, 2, 3, 4)]),
            ("14", f"/?_cw=2&_cw_at={EPOCH}.1", [told(f"{EPOCH}.1", True), *kept(channels, 4)]),
        ]:
            socket, connection = await connected(server, target, user)
            await socket.join("chat", "1")
            assert await messages(connection) == expected


def kept(channels: HistoryChannels, *offsets: int) -> list[Any]:
    return [json.loads(channels.log["chat", "1"][offset - 1].message.json) for offset in offsets]


@on_instant_loop
async def test_who_is_excluded_from_all_it_missed_is_behind_it_at_once() -> None:
    async with history_server() as (server, channels):
        say(channels, 1)
        say(channels, 2, 3, excluded=Excluded(("13",)))
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        await socket.join("chat", "1")
        assert await messages(connection) == [told(f"{EPOCH}.3", True)]


@on_instant_loop
async def test_more_than_half_of_the_outbox_is_too_much() -> None:
    async with history_server(outbox=20_000) as (server, channels):
        for _ in range(12):
            channels.say("x" * 1000)
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        await socket.join("chat", "1")
        assert await messages(connection) == [told(f"{EPOCH}.12", False, "too-much")]
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.5")
        await socket.join("chat", "1")
        assert [each.get("at") for each in await messages(connection)][1:] == [f"{EPOCH}.{n}" for n in range(6, 13)]


@on_instant_loop
async def test_what_waits_already_counts() -> None:
    async with history_server(outbox=20_000) as (server, channels):
        for _ in range(4):
            channels.say("x" * 1000)
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        connection.buffered = 8000
        await socket.join("chat", "1")
        assert await messages(connection) == [told(f"{EPOCH}.4", False, "too-much")]


@on_instant_loop
async def test_messages_that_are_larger_as_messagepack_count_as_large_as_they_are() -> None:
    async with history_server(outbox=8000) as (server, channels):
        for _ in range(4):
            channels.say([0.5] * 100)  # 400 bytes of JSON, 900 of MessagePack
        for query, rewind, number in ((f"_cw_at={EPOCH}.0", 0, 4), (f"_cw_at={EPOCH}.1", 0, 4), ("", 4, 4)):
            session, connection = server.connect(Verdict(user="13"), PACKED, f"/?_cw=2&{query}")
            await until_let_in(session, connection)
            connection.buffered = 1000
            await session.socket.join("chat", "1", rewind=rewind)
            texts = [msgspec.msgpack.decode(payload) for payload in payloads(connection)]
            if query.endswith(".0"):
                assert texts == [told(f"{EPOCH}.{number}", False, "too-much")]
            elif query:
                assert [text.get("at") for text in texts] == [None, f"{EPOCH}.2", f"{EPOCH}.3", f"{EPOCH}.4"]
            else:
                assert texts[0] == told(f"{EPOCH}.2", None)
                assert [text.get("at") for text in texts[1:]] == [f"{EPOCH}.3", f"{EPOCH}.4"]


@on_instant_loop
async def test_while_the_log_is_unreachable_clients_join_and_forget_their_positions() -> None:
    async with history_server() as (server, channels):
        say(channels, 1, 2)
        channels.is_reachable = False
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        new, heard = await connected(server)
        await socket.join("chat", "1")
        await new.join("chat", "1")
        assert await messages(connection) == [told(None, False, "unavailable")]
        assert await messages(heard) == [told(None, None)]
        change = channels.load(channels.subscribed["chat", "1"], "chat", "1")
        assert change.lost == "unavailable"
        server.clients.room_changed(ROOM, change.at, change.lost)
        assert await messages(connection) == await messages(heard) == [told(f"{EPOCH}.2", False, "unavailable")]
        await socket.leave("chat", "1")
        await socket.join("chat", "1")  # the position that it offered is of no use any more: it was told so
        assert await messages(connection) == [LEFT, told(f"{EPOCH}.2", None)]


@on_instant_loop
async def test_a_void_room_has_no_position() -> None:
    async with history_server() as (server, channels):
        say(channels, 1, 2)
        other, _ = await connected(server, user="other")
        await other.join("chat", "1")
        channels.subscribed["chat", "1"].void()
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        await socket.join("chat", "1", rewind=1)
        assert await messages(connection) == [told(None, False, "unavailable"), *said(2)]


# Joins that do not come to their end


@on_instant_loop
async def test_until_it_is_in_a_connection_is_no_member_and_the_room_is_held() -> None:
    async with history_server() as (server, channels):
        channels.readable.clear()
        socket, _ = await connected(server)
        join = asyncio.ensure_future(socket.join("chat", "1"))
        await wait_until(lambda: channels.waiting == 1)
        assert (socket.rooms, server.registry.rooms.number, [*channels.subscribed]) == ({}, 0, [("chat", "1")])
        assert {*server.clients.rooms_of("chat")} == {ROOM}
        channels.readable.set()
        await join
        assert socket.rooms == {"chat": {"1"}}
        await socket.leave("chat", "1")
        assert channels.subscribed == {}


@on_instant_loop
@pytest.mark.parametrize("end", ["cancel", "close", "leave", "remove", "clear", "refuse"])
async def test_a_join_that_does_not_come_to_its_end_leaves_nothing(end: str) -> None:
    async with history_server() as (server, channels):
        channels.readable.clear()
        socket, connection = await connected(server)
        join = asyncio.ensure_future(socket.join("chat", "1"))
        await wait_until(lambda: channels.waiting == 1)
        if end == "cancel":
            join.cancel()
        elif end == "close":
            socket.close()
            assert channels.subscribed == {}
        elif end == "leave":
            await socket.leave("chat", "1")
        elif end == "remove":
            assert await server.clients.remove(ROOM, "13") == {"test": 1}
        elif end == "clear":
            assert await server.clients.clear(ROOM) == {"test": 1}
        else:
            channels.error = BusUnavailable("no")
        channels.readable.set()
        (result,) = await asyncio.gather(join, return_exceptions=True)
        assert isinstance(result, {"cancel": asyncio.CancelledError, "refuse": BusUnavailable}.get(end, type(None)))
        assert (channels.subscribed, server.registry.rooms.number) == ({}, 0)
        expected = [LEFT] if end in ("leave", "remove", "clear") else []
        assert await messages(connection) == expected


@on_instant_loop
async def test_a_join_that_is_cancelled_at_the_moment_it_is_in_leaves_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(environment, "perf_counter", lambda: float(next(ticks)))  # each join takes its turn's time
    async with history_server() as (server, _):
        socket, connection = await connected(server)
        first, _ = await connected(server, user="first")
        joins = [asyncio.ensure_future(each.join("chat", "1")) for each in (first, socket)]
        for _ in range(100):
            if socket.rooms:
                break
            await asyncio.sleep(0)
        assert socket.rooms
        joins[1].cancel()
        results = await asyncio.gather(*joins, return_exceptions=True)
        assert isinstance(results[1], asyncio.CancelledError)
        assert [member.user for member in server.registry.rooms.in_room("chat", "1")] == ["first"]
        assert await messages(connection) == [told(f"{EPOCH}.0", None), LEFT]


@on_instant_loop
async def test_one_of_two_joins_at_once_may_be_cancelled() -> None:
    async with history_server() as (server, channels):
        channels.readable.clear()
        socket, connection = await connected(server)
        first, second = (asyncio.ensure_future(socket.join("chat", "1")) for _ in range(2))
        await wait_until(lambda: channels.waiting == 2)
        first.cancel()
        channels.readable.set()
        await second
        assert socket.rooms == {"chat": {"1"}}
        assert await messages(connection) == [told(f"{EPOCH}.0", None)]


@on_instant_loop
async def test_a_new_user_of_a_connection_keeps_joins_and_rooms_and_is_told_nothing() -> None:
    async with history_server() as (server, channels):
        say(channels, 1)
        say(channels, 2, excluded=Excluded(("14",)))
        say(channels, 3)
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        await socket.join("chat", "other")
        timeline = channels.subscribed["chat", "other"]
        await messages(connection)
        channels.readable.clear()
        join = asyncio.ensure_future(socket.join("chat", "1"))
        await wait_until(lambda: channels.waiting == 1)
        await socket.identify("14")
        assert channels.subscribed["chat", "other"] is timeline
        assert await messages(connection) == []
        channels.readable.set()
        await join
        assert await messages(connection) == [told(f"{EPOCH}.1", True), *said(3)]
        assert socket.rooms == {"chat": {"other", "1"}}


@on_instant_loop
async def test_joins_that_wait_count_as_rooms() -> None:
    async with history_server(rooms=2) as (server, channels):
        channels.readable.clear()
        socket, _ = await connected(server)
        joins = [asyncio.ensure_future(socket.join("chat", id)) for id in ("1", "2", "2")]
        await wait_until(lambda: channels.waiting == 3)
        with pytest.raises(EventError) as caught:
            await socket.join("chat", "3")
        assert caught.value.code == "ROOM_LIMIT"
        channels.readable.set()
        await asyncio.gather(*joins)
        assert socket.rooms == {"chat": {"1", "2"}}


@on_instant_loop
async def test_a_closed_connection_joins_nothing() -> None:
    async with history_server() as (server, channels):
        socket, _ = await connected(server)
        socket.close()
        with pytest.raises(NotConnected):
            await socket.join("chat", "1")
        assert channels.subscribed == {}


# Users, whole rooms


@on_instant_loop
async def test_all_connections_of_a_user_are_added_and_removed_or_none() -> None:
    async with history_server(rooms=1) as (server, channels):
        say(channels, 1, 2)
        one, first = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        two, second = await connected(server, "/?_cw=2")
        three, third = await connected(server, "/")
        assert await server.clients.add(ROOM, "13") == {"test": 3}
        assert await server.clients.add(ROOM, "13") == {"test": 0}
        assert await server.clients.add(ROOM, "nobody") == {"test": 0}
        assert await server.clients.remove(ROOM, "13") == {"test": 3}
        assert await messages(first) == [told(f"{EPOCH}.1", True), *said(2), LEFT]
        assert await messages(second) == [told(f"{EPOCH}.2", None), LEFT]
        assert await messages(third) == []
        await three.join("chat", "2")  # which is all that it may join
        replies = await server.clients.add(ROOM, "13")
        assert replies.errors["test"].code == "ROOM_LIMIT"
        assert (one.rooms, two.rooms, three.rooms) == ({}, {}, {"chat": {"2"}})
        assert [*channels.subscribed] == [("chat", "2")]
        assert await messages(first) == await messages(second) == []


@on_instant_loop
async def test_a_refused_subscription_refuses_the_user() -> None:
    async with history_server() as (server, channels):
        await connected(server)
        channels.error = BusUnavailable("no")
        replies = await server.clients.add(ROOM, "13")
        assert (replies.errors["test"].code, replies.errors["test"].sender) == ("BUS_UNAVAILABLE", "test")
        assert channels.subscribed == {}


@on_instant_loop
async def test_members_are_told_of_a_change_behind_what_was_said_before() -> None:
    async with history_server() as (server, channels):
        sockets = [
            await connected(server, target, user) for target, user in (("/?_cw=2", "1"), ("/", "2"), ("/?_cw=3", "3"))
        ]
        for socket, connection in sockets:
            await socket.join("chat", "1")
            await messages(connection)
        say(channels, 1)
        server.clients.room_changed(ROOM, LogPosition(EPOCH, 1), "trimmed")
        server.clients.room_changed(ROOM, None, "epoch")
        server.clients.room_changed(ROOM, LogPosition(EPOCH, 1), None)
        server.clients.room_changed(ToRoom("chat", "nobody"), None, "epoch")
        changes = [told(f"{EPOCH}.1", False, "trimmed"), told(None, False, "epoch"), told(f"{EPOCH}.1", None)]
        assert [await messages(connection) for _, connection in sockets] == [
            [*said(1), *changes],
            said(1),
            [*said(1), *changes],
        ]


@on_instant_loop
async def test_rooms_without_history_are_joined_at_once_and_nobody_is_told() -> None:
    async with history_server() as (server, channels):
        channels.readable.clear()
        socket, connection = await connected(server, f"/?_cw=2&_cw_at={EPOCH}.1")
        join = asyncio.ensure_future(socket.join("game", "1"))
        await wait_until(lambda: channels.waiting == 1)
        assert socket.rooms == {"game": {"1"}}
        join.cancel()
        await asyncio.gather(join, return_exceptions=True)
        assert (socket.rooms, await messages(connection)) == ({}, [])


# Many


@on_instant_loop
async def test_many_joins_take_their_turns() -> None:
    async with history_server() as (server, channels):
        for _ in range(90):
            channels.say("x" * 100)
        sockets = [await connected(server, f"/?_cw=2&_cw_at={EPOCH}.{n % 50}", f"user {n}") for n in range(200)]
        channels.readable.clear()
        joins = [asyncio.ensure_future(socket.join("chat", "1")) for socket, _ in sockets]
        await wait_until(lambda: channels.waiting == len(sockets))
        channels.readable.set()
        channels.say("between")
        await asyncio.gather(*joins)
        for number, (_, connection) in enumerate(sockets):
            position = f"{EPOCH}.{number % 50}"
            assert [each.get("at") for each in connection.messages[1:]] == [
                f"{EPOCH}.{offset}" for offset in range(number % 50 + 1, 92)
            ]
            assert connection.messages[0] == told(position, True)
        for socket, _ in sockets:
            await socket.leave("chat", "1")
        assert channels.subscribed == {}


@on_instant_loop
async def test_results_and_messages_are_counted() -> None:
    async with history_server() as (server, channels):
        say(channels, 1, 2, 3)
        for offered in (f"{EPOCH}.1", f"{EPOCH}.3", f"{EPOCH}.9", "", "other111.7"):
            socket, _ = await connected(server, f"/?_cw=2&_cw_at={offered}")
            await socket.join("chat", "1")
        assert server.joins.recoveries.results == {"recovered": 2, "ahead": 1, "first": 2}
        assert server.joins.recoveries.messages == 2


async def waiting_joins(channels: HistoryChannels, socket: Socket, count: int) -> list[asyncio.Task[None]]:
    """Begin to join a room without a history several times; it is ready when ``channels.readable`` is set."""
    channels.readable.clear()
    joins = [asyncio.create_task(socket.join("lobby", "1")) for _ in range(count)]
    await wait_until(lambda: channels.waiting == count)
    return joins


@pytest.mark.parametrize("is_ready", [False, True])
@on_instant_loop
async def test_a_join_that_is_given_up_does_not_undo_another_one_of_the_same_room(is_ready: bool) -> None:
    async with history_server() as (server, channels):
        socket, _ = await connected(server)
        first, second = await waiting_joins(channels, socket, 2)
        if is_ready:
            channels.readable.set()
            await second
        first.cancel()
        await asyncio.wait({first})
        channels.readable.set()
        await second
        assert socket.rooms == {"lobby": {"1"}}


@on_instant_loop
async def test_a_join_that_is_given_up_does_not_undo_one_after_a_leave() -> None:
    async with history_server() as (server, channels):
        socket, _ = await connected(server)
        (first,) = await waiting_joins(channels, socket, 1)
        await socket.leave("lobby", "1")
        second = asyncio.create_task(socket.join("lobby", "1"))
        await wait_until(lambda: channels.waiting == 2)
        first.cancel()
        await asyncio.wait({first})
        channels.readable.set()
        await second
        assert socket.rooms == {"lobby": {"1"}}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@on_instant_loop
async def test_nobody_is_in_a_room_when_all_joins_were_given_up(order: tuple[int, int]) -> None:
    async with history_server() as (server, channels):
        socket, _ = await connected(server)
        joins = await waiting_joins(channels, socket, 2)
        for number in order:
            joins[number].cancel()
            await asyncio.wait({joins[number]})
        assert socket.rooms == {}
        assert channels.subscribed == {}


@on_instant_loop
async def test_a_join_that_is_given_up_does_not_undo_one_that_had_nothing_to_wait_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with history_server() as (server, channels):
        socket, _ = await connected(server)
        (first,) = await waiting_joins(channels, socket, 1)
        monkeypatch.setattr(channels, "room_ready", lambda _namespace, _id: None)  # the first one does not know it yet
        await socket.join("lobby", "1")
        first.cancel()
        await asyncio.wait({first})
        assert socket.rooms == {"lobby": {"1"}}


@on_instant_loop
async def test_a_join_before_a_leave_keeps_nobody_in_whose_join_after_it_is_given_up() -> None:
    async with history_server() as (server, channels):
        socket, _ = await connected(server)
        (first,) = await waiting_joins(channels, socket, 1)
        await socket.leave("lobby", "1")
        second = asyncio.create_task(socket.join("lobby", "1"))
        await wait_until(lambda: channels.waiting == 2)
        channels.readable.set()
        second.cancel()  # in the turn in which the first one ends
        await asyncio.wait({first, second})
        assert second.cancelled()
        assert socket.rooms == {}
