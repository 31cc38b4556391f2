"""Crosswire servers among original ones, beyond the recorded traffic."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from crosswire import CallTimeout, EventError, InvalidPayload, Node, Redis, Roster, UsageError
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.original import (
    BRIDGE,
    FORMATS,
    Message,
    adding_server,
    compat_bus,
    decoded,
    encoded,
    foreign,
)
from tests.integration.cluster.support import RecordingHandler, client, clients, make_server, received, running
from tests.support.aio import wait_until
from tests.support.record_channels import record_channels

NEWS = '{"event":"news","payload":1}'


def channels(redis: RedisProcess) -> set[str]:
    return set(redis.command("PUBSUB", "CHANNELS", "ws:*"))


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def publish(redis: RedisProcess, format: str, channel: str, **message: Any) -> None:
    redis.command("PUBLISH", channel, encoded({"senderServer": "original", "data": NEWS, **message}, format))


def publish_event(redis: RedisProcess, format: str, **event: Any) -> None:
    message = {"event": "x", "senderServer": "original", "targetServer": [], "payload": None, **event}
    redis.command("PUBLISH", BRIDGE, encoded({"data": message}, format))


def answers(heard: list[Message], format: str) -> list[dict[str, Any]]:
    """Return the answers of Crosswire nodes."""
    said = [decoded(each, format)[1]["data"] for each in heard]
    return [each for each in said if each.get("isCallback")]


async def test_recipients_of_messages_of_an_original(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format)
    b = make_server("b", bus)
    room = {"roomNamespace": "chat", "roomId": "r"}
    sent: list[tuple[str, dict[str, Any], str]] = [
        ("ws:broadcast", {}, "12"),
        ("ws:private_socket", {"socketId": "1"}, "1"),
        ("ws:private_socket", {"socketIds": ["2", "1", "9"]}, "12"),
        ("ws:private_socket", {"socketIds": []}, ""),
        ("ws:chat", {**room, "excludeSocketIds": []}, "1"),
        ("ws:chat", room, "1"),
        ("ws:chat", {**room, "excludeSocketIds": ["1"]}, ""),
        ("ws:chat", {**room, "roomId": "R"}, ""),
        ("ws:broadcast", {"senderServer": "b"}, ""),  # our own, come back
    ]
    async with running(b), clients({"1": b, "2": b}) as peers:
        await peers["1"].call("join", ["chat", "r"])
        for channel, fields, expected in sent:
            publish(redis_process, format, channel, **fields)
            publish(redis_process, format, "ws:broadcast", data='{"event":"end"}')
            reached = [user for user, peer in peers.items() if await received(peer) == [("news", 1)]]
            assert "".join(reached) == expected, (channel, fields)
        assert b.cluster.refused == 0


async def test_an_invalid_message_is_refused_and_counted(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format)
    b = make_server("b", bus)
    heard = RecordingHandler()
    b.cluster.on("x", heard)
    bad: list[tuple[str, dict[str, Any]]] = [
        ("ws:private_socket", {}),  # without recipients
        ("ws:private_socket", {"socketId": 1}),
        ("ws:private_socket", {"socketIds": "12"}),
        ("ws:chat", {"roomNamespace": "other", "roomId": "r"}),
        ("ws:chat", {"roomNamespace": "chat"}),
        ("ws:broadcast", {"data": {"event": "news"}}),
    ]
    async with running(b), client(b, "1") as peer:
        await peer.call("join", ["chat", "r"])
        for channel, fields in bad:
            publish(redis_process, format, channel, **fields)
        for body in (b"", b"\xc1", b"{", encoded([1], format), encoded({"data": {}}, format)):
            redis_process.command("PUBLISH", BRIDGE, body)
        publish_event(redis_process, format, event=5)
        publish_event(redis_process, format, isCallback=True)  # an answer to nothing
        publish_event(redis_process, format)
        await wait_until(lambda: heard.calls)
        b.everyone.send("end")
        assert await received(peer) == []
        assert b.cluster.refused == len(bad) + 5 + 2


@pytest.mark.parametrize("subprotocol", ["", "crosswire.msgpack"])
async def test_data_that_is_no_json_is_refused(
    redis_process: RedisProcess, format: str, subprotocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    b = make_server("b", compat_bus(redis_process, format))
    headers = {"Sec-WebSocket-Protocol": subprotocol} if subprotocol else {}
    async with running(b), client(b, "1", headers) as peer:
        publish(redis_process, format, "ws:broadcast", data="no json")
        publish(redis_process, format, "ws:broadcast")
        assert (await peer.receive()).event == "news"
        assert b.cluster.refused == 1
    (record,) = caplog.records  # a line for the log, and nothing that failed
    assert record.levelname == "WARNING"
    assert "could not be read" in record.message


async def test_recipients_of_events_of_an_original(redis_process: RedisProcess, format: str) -> None:
    node = Node("b", bus=compat_bus(redis_process, format))
    heard = RecordingHandler()
    node.on("x", heard)
    async with running(node):
        publish_event(redis_process, format, payload="all")
        publish_event(redis_process, format, payload="me", targetServer=["a", "b"])
        publish_event(redis_process, format, payload="not me", targetServer=["a"])
        publish_event(redis_process, format, payload="mine", senderServer="b")
        publish_event(redis_process, format, payload="last")
        await wait_until(lambda: len(heard.calls) == 3)
        assert heard.calls == [("original", data) for data in ("all", "me", "last")]


async def test_a_service_of_ours_can_not_be_asked_by_an_event_of_an_original(
    redis_process: RedisProcess, format: str
) -> None:
    b = adding_server("b", compat_bus(redis_process, format))
    async with running(b), client(b, "1") as peer, record_channels(redis_process.port, BRIDGE) as heard:
        for event in ("$close", "$count"):
            target = [["everyone"], 4000, "bye"]
            publish_event(redis_process, format, event=event, payload=target, callbackId="c1")
        publish_event(redis_process, format, event="sum", payload={"a": 1, "b": 2}, callbackId="c2")
        await wait_until(lambda: len(heard) == 4)
        assert [each["callbackId"] for each in answers(heard, format)] == ["c2"]
        assert await peer.call("hello") == "b"


async def test_errors_between_ours_and_what_an_original_gets_of_them(redis_process: RedisProcess, format: str) -> None:
    def refuse() -> None:
        raise EventError("full", "no room")

    bus = compat_bus(redis_process, format)
    a, b = Node("a", bus=bus), Node("b", bus=bus)
    async with running(a, b), record_channels(redis_process.port, BRIDGE) as heard:
        b.on("x", refuse)
        for event, code in (("x", "full"), ("none", "NO_HANDLER")):
            with pytest.raises(EventError) as caught:
                await a.call("b", event)
            assert (caught.value.code, caught.value.sender) == (code, "b")
        await wait_until(lambda: len(heard) == 4)  # it may hear of them later than a
        told = [each["payload"] for each in answers(heard, format)]
        assert told == [None, None]  # to an original, answers of null


@pytest.mark.parametrize("target", [[], ["b"], ["a", "b"]])
async def test_a_node_without_a_handler_leaves_a_question_of_an_original_to_others(
    redis_process: RedisProcess, format: str, target: list[str]
) -> None:
    node = Node("b", bus=compat_bus(redis_process, format))
    node.on("handled", lambda: "yes")
    async with running(node), record_channels(redis_process.port, BRIDGE) as heard:
        publish_event(redis_process, format, targetServer=target, callbackId="c1")
        publish_event(redis_process, format, targetServer=target, callbackId="c2", event="handled")
        await wait_until(lambda: len(heard) == 3)
        assert [(each["callbackId"], each["payload"]) for each in answers(heard, format)] == [("c2", "yes")]


async def test_a_node_without_a_handler_is_no_answer_that_was_expected(
    redis_process: RedisProcess, format: str
) -> None:
    bus = compat_bus(redis_process, format)
    a, b, c = (Node(name, bus=bus) for name in "abc")
    c.on("x", lambda: "yes")
    async with running(a, b, c):
        assert dict(await a.gather("x", expect=1)) == {"c": "yes"}
        stream = a.stream("x", expect=3)
        named = await a.gather("x", to=["a", "b", "c"])  # asked after it, so what these say to that has come too
        assert dict(named) == {"c": "yes"}
        assert {name: error.code for name, error in named.errors.items()} == dict.fromkeys("ab", "NO_HANDLER")
        await stream.aclose()
        assert [(each.sender, each.data) async for each in stream] == [("c", "yes")]


async def test_originals_are_not_members_so_the_expected_answers_must_be_given(
    redis_process: RedisProcess, format: str
) -> None:
    node = Node("b", bus=compat_bus(redis_process, format))
    async with running(node):
        with pytest.raises(UsageError, match=r"to=.*expect="):
            await node.gather("x")
        with pytest.raises(UsageError):
            node.stream("x")
        with pytest.raises(CallTimeout):
            await node.call("original", "x", timeout=0.05)
        replies = await node.gather("x", expect=2, timeout=0.05)
        assert (dict(replies), replies.errors, replies.missing) == ({}, {}, ("b",))


async def test_a_message_that_the_original_lacks_is_refused_before_anybody_gets_it(
    redis_process: RedisProcess, format: str
) -> None:
    bus = compat_bus(redis_process, format)
    b = make_server("b", bus)
    async with running(b), client(b, "1") as peer, record_channels(redis_process.port, "*") as heard:
        socket = b.socket_of("1")
        assert socket is not None
        for namespace in ("broadcast", "private_socket", "ws:chat", "ws:"):
            with pytest.raises(UsageError, match=namespace):
                b.room(namespace, "r").send("x")
            with pytest.raises(UsageError, match=namespace):
                await socket.join(namespace, "r")
        with pytest.raises(UsageError, match="exclude"):
            b.everyone.send("x", exclude=["1", socket])
        for channel in ("ws:chat", "csbp:server_bridge"):
            with pytest.raises(UsageError, match=channel):
                b.cluster.publish(channel)
            with pytest.raises(UsageError, match=channel):
                await b.cluster.subscribe(channel, RecordingHandler())
        for data in (2**53, {"a": [-(2**53)]}, object()):
            with pytest.raises(InvalidPayload):
                b.cluster.send("x", data)
        if format == "json":
            with pytest.raises(InvalidPayload, match="bytes"):
                b.cluster.send("x", {"a": b"\xff"})
        b.everyone.send("x", exclude=["2"], local=True)
        b.everyone.send("not for you", exclude=[socket])  # a single connection is here, and no affair of others
        b.everyone.send("end")
        assert await received(peer) == [("x", None)]
        await wait_until(lambda: len(foreign(heard, bus)) == 2)
        assert [channel for channel, _ in foreign(heard, bus)] == ["ws:broadcast"] * 2
        assert socket.rooms == {}


async def test_an_answer_that_the_original_can_not_represent_is_an_error(
    redis_process: RedisProcess, format: str
) -> None:
    bus = compat_bus(redis_process, format)
    a, b = Node("a", bus=bus), Node("b", bus=bus)
    async with running(a, b):
        b.on("x", lambda: 2**60)
        with pytest.raises(EventError, match="HANDLER_ERROR"):
            await a.call("b", "x")


async def test_an_answer_of_an_original_that_can_not_be_decoded_is_an_error(redis_process: RedisProcess) -> None:
    node = Node("b", bus=compat_bus(redis_process, "msgpack"))
    node.on("x", RecordingHandler())
    strange = msgspec.msgpack.Ext(5, b"?")
    async with running(node), record_channels(redis_process.port, BRIDGE) as heard:
        publish_event(redis_process, "msgpack", payload=strange, callbackId="c1")
        await wait_until(lambda: len(heard) == 2)
        answer = decoded(heard[1], "msgpack")[1]["data"]
        assert (answer["callbackId"], answer["error"]["code"]) == ("c1", "INVALID_PAYLOAD")
        call = asyncio.create_task(node.call("original", "x"))
        await wait_until(lambda: len(heard) == 3)
        id_ = decoded(heard[2], "msgpack")[1]["data"]["callbackId"]
        publish_event(redis_process, "msgpack", isCallback=True, callbackId=id_, payload=strange)
        with pytest.raises(InvalidPayload) as caught:
            await call
        assert caught.value.sender == "original"


async def test_namespaces_are_listened_on_while_a_room_of_them_is_open(
    redis_process: RedisProcess, format: str
) -> None:
    b = make_server("b", compat_bus(redis_process, format))
    async with running(b), client(b, "1") as peer:
        own = {"ws:broadcast", "ws:private_socket"}
        assert channels(redis_process) == own
        await peer.call("join", ["chat", "1"])
        await peer.call("join", ["chat", "2"])
        assert channels(redis_process) == {*own, "ws:chat"}
        await peer.call("leave", ["chat", "1"])
        await peer.call("leave", ["chat", "1"])
        publish(redis_process, format, "ws:chat", roomNamespace="chat", roomId="2")
        assert (await peer.receive()).event == "news"
        await peer.call("leave", ["chat", "2"])
        await wait_until(lambda: channels(redis_process) == own)


async def test_presets_are_listened_on_all_the_time(redis_process: RedisProcess, format: str) -> None:
    b = make_server("b", compat_bus(redis_process, format, preset_namespaces=["lobby"]))
    async with running(b), client(b, "1") as peer:
        assert "ws:lobby" in channels(redis_process)
        await peer.call("join", ["lobby", "1"])
        publish(redis_process, format, "ws:lobby", roomNamespace="lobby", roomId="1")
        assert (await peer.receive()).event == "news"
        await peer.call("leave", ["lobby", "1"])
        await peer.call("join", ["chat", "1"])
        await peer.call("leave", ["chat", "1"])
        await wait_until(lambda: "ws:chat" not in channels(redis_process))
        assert "ws:lobby" in channels(redis_process)
    await wait_until(lambda: channels(redis_process) == set())


async def test_without_auto_unsubscribe_channels_are_kept(redis_process: RedisProcess, format: str) -> None:
    b = make_server("b", compat_bus(redis_process, format, auto_unsubscribe=False))
    async with running(b), client(b, "1") as peer:
        for _ in range(3):
            await peer.call("join", ["chat", "1"])
            await peer.call("leave", ["chat", "1"])
        assert "ws:chat" in channels(redis_process)
        publish(redis_process, format, "ws:chat", roomNamespace="chat", roomId="1")
        b.everyone.send("end")
        assert await received(peer) == []
        await peer.call("join", ["chat", "1"])
        publish(redis_process, format, "ws:chat", roomNamespace="chat", roomId="1")
        assert (await peer.receive()).event == "news"


async def test_crosswire_nodes_use_more_than_the_original_has(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format)
    a, b = make_server("a", bus), make_server("b", bus)
    async with running(a, b), client(a, "1") as old, client(b, "2"):
        assert a.cluster.nodes.keys() == {"a", "b"}
        assert await a.everyone.count() == 2
        assert dict(await a.room("chat", "r").add("2")) == {"a": 0, "b": 1}
        assert await a.room("chat", "r").members() == Roster(frozenset("2"))
        async with client(b, "1"):
            assert (await old.closed()).code == 4012


async def test_a_node_with_another_dialect_is_accepted_with_a_warning(
    redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    buses = {format: compat_bus(redis_process, format) for format in FORMATS}
    nodes = [Node("json", bus=buses["json"]), Node("msgpack", bus=buses["msgpack"])]
    nodes.append(Node("native", bus=Redis(redis_process.url)))
    async with running(*nodes):
        await wait_until(lambda: len(caplog.records) == 6)
        assert nodes[0].incompatible_nodes == {"msgpack": "compat-msgpack", "native": "native"}
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert "node 'native' speaks 'native' and this one 'compat-json'" in caplog.text


async def test_handlers_of_channels_hear_what_originals_publish_and_their_own(
    redis_process: RedisProcess, format: str
) -> None:
    bus = compat_bus(redis_process, format)
    a, b = Node("a", bus=bus), Node("b", bus=bus)
    heard = {"a": RecordingHandler(), "b": RecordingHandler()}
    async with running(a, b):
        for node in (a, b):
            await node.subscribe("orders", heard[node.name])
        a.publish("orders", {"id": 7})
        await wait_until(lambda: all(each.calls for each in heard.values()))
        redis_process.command("PUBLISH", "orders", encoded({"id": 8}, format))
        redis_process.command("PUBLISH", "orders", b"\xc1")
        redis_process.command("PUBLISH", "orders", encoded(None, format))
        await wait_until(lambda: all(len(each.calls) == 3 for each in heard.values()))
        for each in heard.values():
            assert [data for _, data in each.calls] == [{"id": 7}, {"id": 8}, None]
