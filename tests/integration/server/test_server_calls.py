"""Calls of the server: ``socket.call`` and ``audience.gather``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crosswire import CallTimeout, EventError, NotConnected, Server, Socket, UsageError
from tests.integration.server.support import HookRecorder, Peer, connect, make_server
from tests.support.aio import wait_until


@asynccontextmanager
async def one_client() -> AsyncIterator[tuple[Server, Socket, Peer]]:
    server = make_server()
    recorder = HookRecorder(server)
    async with server, connect(server, "1") as peer:
        yield server, recorder.connected[0], peer


async def question(peer: Peer) -> dict[str, Any]:
    message = await peer.receive()
    assert message.keys() == {"event", "payload", "callId"}, message
    return dict(message)


async def reply(peer: Peer, asked: dict[str, Any], **answer: Any) -> None:
    await peer.send_text(json.dumps({"callId": asked["callId"], **answer}))


@pytest.mark.parametrize("value", [None, 0, "", [], {"a": [1, "é"]}], ids=repr)
async def test_the_clients_answer_is_returned(value: Any) -> None:
    async with one_client() as (_, socket, peer):
        call = asyncio.create_task(socket.call("ask", {"n": 1}))
        asked = await question(peer)
        assert (asked["event"], asked["payload"]) == ("ask", {"n": 1})
        await reply(peer, asked, payload=value)
        assert await call == value


async def test_the_clients_refusal_is_raised() -> None:
    async with one_client() as (_, socket, peer):
        call = asyncio.create_task(socket.call("ask"))
        await reply(peer, await question(peer), error={"code": "busy", "message": "not now"})
        with pytest.raises(EventError) as refused:
            await call
        assert (refused.value.code, refused.value.message, refused.value.sender) == ("busy", "not now", "1")


async def test_a_call_without_an_answer_times_out() -> None:
    async with one_client() as (_, socket, peer):
        with pytest.raises(CallTimeout) as timeout:
            await socket.call("ask", timeout=0.02)
        assert timeout.value.code == "CALLBACK_TIMEOUT"
        # The late answer is ignored.
        await reply(peer, await question(peer), payload="late")
        assert await peer.rest() == []
        call = asyncio.create_task(socket.call("again"))
        await reply(peer, await question(peer), payload="in time")
        assert await call == "in time"


@pytest.mark.parametrize("ending", ["client closes", "reset", "server closes"])
async def test_a_lost_connection_fails_the_call(ending: str) -> None:
    async with one_client() as (_, socket, peer):
        calls = [asyncio.create_task(socket.call("ask")) for _ in range(3)]
        for _ in calls:
            await question(peer)
        if ending == "client closes":
            await peer.ws.close()
        elif ending == "reset":
            peer.ws.transport.abort()
        else:
            socket.close(4000)
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(result, NotConnected)
            assert result.code == "WS_NOT_OPEN"


async def test_a_call_that_is_cancelled_is_forgotten() -> None:
    async with one_client() as (_, socket, peer):
        call = asyncio.create_task(socket.call("ask"))
        asked = await question(peer)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await reply(peer, asked, payload=1)
        assert await peer.rest() == []


async def test_answers_find_their_calls_in_any_order() -> None:
    async with one_client() as (_, socket, peer):
        calls = [asyncio.create_task(socket.call("ask", number)) for number in range(20)]
        asked = [await question(peer) for _ in calls]
        assert len({each["callId"] for each in asked}) == 20
        for each in reversed(asked):
            await reply(peer, each, payload=each["payload"])
        assert await asyncio.gather(*calls) == list(range(20))


async def test_an_answer_counts_once_and_only_from_the_called_client() -> None:
    async with one_client() as (server, socket, peer), connect(server, "2") as other:
        call = asyncio.create_task(socket.call("ask"))
        asked = await question(peer)
        await reply(other, asked, payload="forged")
        assert await other.rest() == []
        assert not call.done()
        await reply(peer, asked, payload="first")
        await reply(peer, asked, payload="second")
        assert await call == "first"
        assert await peer.rest() == []


BAD_ANSWERS = [
    '{"callId":"%s","error":"text"}',
    '{"callId":"%s","error":{"message":"no code"}}',
    '{"callId":["%s"],"payload":1}',
    '{"callId":"not %s","payload":1}',
    '{"callId":"%s","payload":1',
]


@pytest.mark.parametrize("answer", BAD_ANSWERS)
async def test_an_invalid_answer_is_ignored(answer: str) -> None:
    async with one_client() as (_, socket, peer):
        call = asyncio.create_task(socket.call("ask"))
        asked = await question(peer)
        await peer.send_text(answer % asked["callId"])
        assert await peer.rest() == []
        assert not call.done()
        await reply(peer, asked, payload="right")
        assert await call == "right"


async def test_a_handler_may_call_back() -> None:
    async with one_client() as (server, _, peer):

        @server.on("buy")
        async def buy(socket: Socket, data: Any) -> str:
            return f"bought {data} for {await socket.call('price?', data)}"

        await peer.send("buy", "tea", callbackId="b")
        await reply(peer, await question(peer), payload=5)
        assert await peer.receive() == {"payload": "bought tea for 5", "callbackId": "b"}


@pytest.mark.parametrize("timeout", [0, -1, None, "5", True, float("nan")])
async def test_a_timeout_is_a_number_of_seconds(timeout: Any) -> None:
    async with one_client() as (server, socket, peer):
        with pytest.raises(UsageError):
            await socket.call("ask", timeout=timeout)
        with pytest.raises(UsageError):
            await server.everyone.gather("ask", timeout=timeout)
        assert await peer.rest() == []


async def test_gather_has_every_users_answer() -> None:
    server = make_server()
    async with server, connect(server, "1") as one, connect(server, "2") as two, connect(server, "3") as three:
        gathering = asyncio.create_task(server.everyone.gather("ask", "q"))
        for peer, answer in ((three, {"payload": 3}), (one, {"payload": None})):
            asked = await question(peer)
            assert (asked["event"], asked["payload"]) == ("ask", "q")
            await reply(peer, asked, **answer)
        assert not gathering.done()
        await reply(two, await question(two), error={"code": "no"})
        replies = await gathering
        assert dict(replies) == {"1": None, "3": 3}
        assert {user: (error.code, error.sender) for user, error in replies.errors.items()} == {"2": ("no", "2")}
        assert (replies.missing, replies.complete) == ((), True)


async def test_gather_names_missing_users() -> None:
    server = make_server()
    async with server, connect(server, "1") as one, connect(server, "2"):
        gathering = asyncio.create_task(server.users(["1", "2", "nobody"]).gather("ask", timeout=1))
        await reply(one, await question(one), payload="here")
        replies = await gathering
        assert dict(replies) == {"1": "here"}
        assert (set(replies.missing), replies.complete) == ({"2", "nobody"}, False)


async def test_gather_does_not_wait_for_absent_or_disconnecting_users() -> None:
    server = make_server()
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with server, connect(server, "1") as one, connect(server, "2") as two:
        assert (await server.user("nobody").gather("ask", timeout=60)).missing == ("nobody",)
        assert (await server.users([]).gather("ask", timeout=60)).complete
        assert (await server.room("no", "body").gather("ask", timeout=60)).complete
        gathering = asyncio.create_task(server.everyone.gather("ask", timeout=60))
        await reply(one, await question(one), payload=1)
        await question(two)
        two.ws.transport.abort()
        replies = await gathering
        assert (dict(replies), replies.missing) == ({"1": 1}, ("2",))
    assert loop.time() - began < 30


async def test_a_user_with_several_connections_answers_once() -> None:
    server = make_server(duplicates="allow")
    async with server, connect(server, "1") as one, connect(server, "1") as two, connect(server, "1") as three:
        gathering = asyncio.create_task(server.user("1").gather("ask"))
        asked = [await question(peer) for peer in (one, two, three)]
        one.ws.transport.abort()
        await wait_until(lambda: len(server.sockets) == 2)
        assert not gathering.done()
        await reply(three, asked[2], payload="third")
        assert dict(await gathering) == {"1": "third"}
        await reply(two, asked[1], payload="second")
        assert await two.rest() == []


async def test_gather_of_a_room() -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with server, connect(server, "1") as one, connect(server, "2") as two:
        await recorder.connected[0].join("chat", "a")
        gathering = asyncio.create_task(server.room("chat", "a").gather("ask"))
        await reply(one, await question(one), payload=1)
        assert dict(await gathering) == {"1": 1}
        assert await two.rest() == []


async def test_a_user_that_identifies_during_a_gather_answers_as_before() -> None:
    async with one_client() as (server, socket, peer):
        gathering = asyncio.create_task(server.user("1").gather("ask", timeout=5))
        asked = await question(peer)
        await socket.identify("2")
        await reply(peer, asked, payload="still me")
        assert dict(await gathering) == {"1": "still me"}


async def test_a_user_that_identifies_and_leaves_during_a_gather_is_missing_at_once() -> None:
    async with one_client() as (server, socket, peer):
        gathering = asyncio.create_task(server.user("1").gather("ask", timeout=60))
        await question(peer)
        await socket.identify("2")
        socket.close(4000)
        assert (await asyncio.wait_for(gathering, 20)).missing == ("1",)
