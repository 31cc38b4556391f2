from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from crosswire import Close, Handshake, InvalidPayload, NotConnected, Server, UsageError
from crosswire.server.delivery import FEW_EXCLUDED
from tests.integration.server.support import HookRecorder, Peer, connect, make_server
from tests.support.aio import wait_until


@asynccontextmanager
async def crowd(**options: Any) -> AsyncIterator[tuple[Server, HookRecorder, dict[str, Peer]]]:
    """A server with the users 1 and 2, and 3 twice."""
    server = make_server(duplicates="allow", **options)
    recorder = HookRecorder(server)
    async with (
        server,
        connect(server, "1") as one,
        connect(server, "2") as two,
        connect(server, "3") as three,
        connect(server, "3") as again,
    ):
        yield server, recorder, {"1": one, "2": two, "3": three, "3 again": again}


async def reached(peers: dict[str, Peer]) -> dict[str, int]:
    return {name: count for name, peer in peers.items() if (count := len(await peer.rest()))}


SENDS: list[tuple[Callable[[Server], object], dict[str, int]]] = [
    (lambda server: server.everyone.send("x"), {"1": 1, "2": 1, "3": 1, "3 again": 1}),
    (lambda server: server.everyone.send("x", local=True), {"1": 1, "2": 1, "3": 1, "3 again": 1}),
    (lambda server: server.everyone.send("x", exclude=["3", "99"]), {"1": 1, "2": 1}),
    (lambda server: server.everyone.send("x", exclude=["1", "2", "3"], local=True), {}),
    (lambda server: server.user("1").send("x"), {"1": 1}),
    (lambda server: server.user("3").send("x"), {"3": 1, "3 again": 1}),
    (lambda server: server.user("3").send("x", local=True), {"3": 1, "3 again": 1}),
    (lambda server: server.user("3").send("x", exclude=["3"]), {}),
    (lambda server: server.user("99").send("x"), {}),
    (lambda server: server.users(["1", "3"]).send("x"), {"1": 1, "3": 1, "3 again": 1}),
    (lambda server: server.users(["1", "1", "2", "99"]).send("x"), {"1": 1, "2": 1}),
    (lambda server: server.users(str(n) for n in range(3)).send("x", exclude=["2"]), {"1": 1}),
    (lambda server: server.users([]).send("x"), {}),
    (lambda server: server.users(["2"]).send("x", local=True), {"2": 1}),
]


@pytest.mark.parametrize("number", range(len(SENDS)))
async def test_recipients_of_a_send(number: int) -> None:
    send, expected = SENDS[number]
    async with crowd() as (server, _, peers):
        assert send(server) is None  # a plain function
        assert await reached(peers) == expected


EXCLUDES: list[tuple[Callable[[Server, list[Any]], object], dict[str, int]]] = [
    (lambda server, sockets: server.everyone.send("x", exclude=[sockets[3]]), {"1": 1, "2": 1, "3": 1}),
    (lambda server, sockets: server.everyone.send("x", exclude=[sockets[3], "1"]), {"2": 1, "3": 1}),
    (lambda server, sockets: server.everyone.send("x", exclude=set(sockets[1:])), {"1": 1}),
    (lambda server, sockets: server.user("3").send("x", exclude=[sockets[2]]), {"3 again": 1}),
    (lambda server, sockets: server.user("1").send("x", exclude=[sockets[0]]), {}),
    (lambda server, sockets: server.user("1").send("x", exclude=[sockets[1]]), {"1": 1}),
    (
        lambda server, sockets: server.users(["1", "3"]).send("x", exclude=[sockets[2]], local=True),
        {"1": 1, "3 again": 1},
    ),
    (lambda server, sockets: server.room("chat", "r").send("x", exclude=[sockets[2]]), {"1": 1, "2": 1, "3 again": 1}),
    (lambda server, sockets: server.room("chat", "r").send("x", exclude=["3", sockets[0]]), {"2": 1}),
]


@pytest.mark.parametrize("number", range(len(EXCLUDES)))
async def test_a_single_connection_is_left_out(number: int) -> None:
    send, expected = EXCLUDES[number]
    async with crowd() as (server, recorder, peers):
        for socket in recorder.connected:
            await socket.join("chat", "r")
        send(server, recorder.connected)
        assert await reached(peers) == expected


async def test_a_user_named_like_a_connection_is_not_excluded_with_it() -> None:
    async with crowd() as (server, recorder, peers), connect(server, recorder.connected[0].id) as namesake:
        server.everyone.send("x", exclude=[recorder.connected[0]])
        assert await reached({**peers, "namesake": namesake}) == {"2": 1, "3": 1, "3 again": 1, "namesake": 1}
        server.everyone.send("x", exclude=[recorder.connected[0].id])
        assert await reached({**peers, "namesake": namesake}) == {"1": 1, "2": 1, "3": 1, "3 again": 1}


async def test_a_connection_that_changed_its_user_is_still_excluded() -> None:
    async with crowd() as (server, recorder, peers):
        await recorder.connected[0].identify("other")
        server.everyone.send("x", exclude=[recorder.connected[0]])
        assert await reached(peers) == {"2": 1, "3": 1, "3 again": 1}


@pytest.mark.parametrize("excluded", [1, FEW_EXCLUDED, FEW_EXCLUDED + 1])
async def test_order_is_kept_however_many_are_left_out(excluded: int) -> None:
    server = make_server()
    users = [str(number) for number in range(FEW_EXCLUDED + 2)]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        peers = [await stack.enter_async_context(connect(server, user)) for user in users]
        for number, exclude in enumerate([[], users[:excluded], []]):
            server.everyone.send("x", number, exclude=exclude)
        for number, peer in enumerate(peers):
            got = [message["payload"] for message in await peer.rest()]
            assert got == ([0, 2] if number < excluded else [0, 1, 2])


async def test_counts_of_local_audiences() -> None:
    async with crowd() as (server, recorder, _):
        await recorder.connected[0].join("chat", "a")
        await recorder.connected[2].join("chat", "a")
        await recorder.connected[3].join("chat", "a")
        assert await server.everyone.count() == 3
        assert await server.user("3").count() == 1
        assert await server.user("99").count() == 0
        assert await server.users(["1", "3", "3", "99"]).count() == 2
        assert await server.room("chat", "a").count() == 2
        assert await server.room("chat", "b").count() == 0
        assert (await server.everyone.count()).missing == ()


CLOSES: list[tuple[Callable[[Server], Any], set[str]]] = [
    (lambda server: server.everyone, {"1", "2", "3", "3 again"}),
    (lambda server: server.user("3"), {"3", "3 again"}),
    (lambda server: server.users(["1", "1", "99"]), {"1"}),
    (lambda server: server.room("chat", "a"), {"2"}),
    (lambda server: server.user("99"), set()),
]


@pytest.mark.parametrize("number", range(len(CLOSES)))
async def test_connections_that_a_close_reaches(number: int) -> None:
    audience, expected = CLOSES[number]
    async with crowd() as (server, recorder, peers):
        await recorder.connected[1].join("chat", "a")
        replies = await audience(server).close(4010, "forced logout")
        assert dict(replies) == {"test": len(expected)}
        # In effect when it returns: nothing reaches them any more.
        assert len(server.sockets) == 4 - len(expected)
        server.everyone.send("later")
        for name, peer in peers.items():
            if name in expected:
                assert await peer.closed() == Close(4010, "forced logout")
            else:
                assert await peer.event() == ("later", None)
        await wait_until(lambda: len(recorder.closes) == len(expected))


async def test_a_closed_socket_drops_events_and_fails_calls() -> None:
    async with crowd() as (server, recorder, peers):
        socket = recorder.connected[0]
        await socket.join("chat", "a")
        socket.send("first")
        socket.close(4000, "bye")
        socket.close(4001, "too late")
        socket.send("nothing")
        socket.send_raw("nothing")
        server.user("1").send("nothing")
        server.room("chat", "a").send("nothing")
        for work in (socket.call("x"), socket.join("a", "b"), socket.identify("9")):
            with pytest.raises(NotConnected):
                await work
        assert await peers["1"].event() == ("first", None)
        assert await peers["1"].closed() == Close(4000, "bye")
        assert not socket.is_open


async def test_data_that_cannot_be_sent_raises_and_reaches_nobody() -> None:
    async with crowd() as (server, recorder, peers):
        for send in (
            server.everyone.send,
            server.user("1").send,
            server.users(["1", "2"]).send,
            server.room("a", "b").send,
            recorder.connected[0].send,
        ):
            with pytest.raises(InvalidPayload):
                send("x", {"a": object()})
            with pytest.raises(InvalidPayload):
                send("x", "\udc00")
        for work in (server.everyone.gather("x", object()), recorder.connected[0].call("x", object())):
            with pytest.raises(InvalidPayload):
                await work
        assert await reached(peers) == {}


@pytest.mark.parametrize("bad", ["", 5, None, b"1"])
def test_misuse_raises_where_it_happens(bad: Any) -> None:
    server = make_server()
    uses: list[Callable[[], object]] = [
        lambda: server.user(bad),
        lambda: server.users([bad]),
        lambda: server.socket_of(bad),
        lambda: server.everyone.send("x", exclude=[bad]),
        lambda: server.local_rooms.joined(bad),
        lambda: server.local_rooms.members(bad),
    ]
    for use in uses:
        with pytest.raises(UsageError):
            use()


def test_one_string_is_refused_as_a_collection_of_users() -> None:
    server = make_server()
    with pytest.raises(UsageError):
        server.users("123")
    with pytest.raises(UsageError):
        server.everyone.send("x", exclude="123")


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2000, 5000, "4000", None, True])
async def test_close_codes_that_cannot_be_sent(code: Any) -> None:
    async with crowd() as (server, recorder, _):
        with pytest.raises(UsageError):
            await server.everyone.close(code)
        with pytest.raises(UsageError):
            recorder.connected[0].close(code)
        assert len(server.sockets) == 4


async def test_one_frame_of_your_own_protocol() -> None:
    async with crowd() as (_, recorder, peers):
        recorder.connected[0].send_raw("plain é")
        recorder.connected[0].send_raw(b"\x00\xff")
        with pytest.raises(InvalidPayload):
            recorder.connected[0].send_raw("\ud800")
        recorder.connected[0].send_raw("")
        assert [await peers["1"].receive_frame() for _ in range(3)] == ["plain é", b"\x00\xff", ""]


async def test_a_send_to_everyone_from_the_middle_of_a_handler_that_closes_sockets() -> None:
    async with crowd() as (server, _, peers):

        @server.on("purge")
        def purge(socket: Any, data: Any) -> int:
            for other in server.sockets:
                if other is not socket:
                    other.close(4000)
            server.everyone.send("left")
            return len(server.sockets)

        await peers["1"].send("purge", callbackId="x")
        assert await peers["1"].receive() == {"event": "left", "payload": None}
        assert await peers["1"].receive() == {"payload": 1, "callbackId": "x"}


async def test_sockets_hold_what_the_application_keeps() -> None:
    async with crowd() as (server, recorder, peers):
        recorder.connected[0].data["name"] = "Ann"
        server.on("name", lambda socket: socket.data.get("name"))
        assert await peers["1"].call("name") == "Ann"
        assert await peers["2"].call("name") is None
        assert isinstance(recorder.connected[0].handshake, Handshake)
        assert len({socket.id for socket in recorder.connected}) == 4
