"""Bad input of a client: it is not dispatched, a call gets an error, and the connection stays."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crosswire import Server, Socket
from tests.integration.server.support import HookRecorder, connect, make_server

DEEP = "[" * 100_000 + "]" * 100_000
DEEP_OBJECT = '{"a":' * 100_000 + "1" + "}" * 100_000
LONG_INTEGER = "9" * (1024 * 1024 - 100)

NO_MESSAGES = {
    "empty object": "{}",
    "no JSON": "hello",
    "half an object": '{"event":"say"',
    "two objects": '{"event":"say"}{"event":"say"}',
    "trailing comma": '{"event":"say",}',
    "single quotes": "{'event':'say'}",
    "a list": '["say"]',
    "a string": '"say"',
    "a number": "5",
    "null": "null",
    "white space": " \n\t",
    "nul": "\0",
    "byte order mark": '\ufeff{"event":"say"}',
    "no event": '{"payload":1}',
    "event null": '{"event":null,"payload":1}',
    "event number": '{"event":5}',
    "event list": '{"event":["say"]}',
    "event object": '{"event":{"say":1}}',
    "event true": '{"event":true}',
    "event empty": '{"event":""}',
    "event reserved": '{"event":"$say"}',
    "event in another case": '{"Event":"say","EVENT":"say"}',
    "nan event": '{"event":NaN}',
    "nan payload": '{"event":"say","payload":NaN}',
    "infinity": '{"event":"say","payload":-Infinity}',
    "surrogate in the event": '{"event":"say\\ud800"}',
    "surrogate in the payload": '{"event":"say","payload":"\\udfff"}',
    "surrogate in a key": '{"event":"say","payload":{"\\ud800":1}}',
    "bad escape": '{"event":"say","payload":"\\x"}',
    "control character": '{"event":"say","payload":"\n"}',
    "leading zero": '{"event":"say","payload":01}',
    "hexadecimal": '{"event":"say","payload":0x1}',
    "comment": '{"event":"say"/**/}',
    "deep list": DEEP,
    "deep object": DEEP_OBJECT,
    "deep payload": f'{{"event":"say","payload":{DEEP}}}',
    "deep unknown key": f'{{"event":"say","x":{DEEP}',
    "huge exponent": '{"event":"say","payload":1e999999999}',
    "long event": '{"event":"' + "x" * 1_000_000 + '"}',
    "an answer nobody waits for": '{"callId":"1","payload":1}',
    "a refusal nobody waits for": '{"callId":"1","error":{"code":"x","message":"y"}}',
    "an error that is none": '{"callId":"1","error":5}',
    "call id number": '{"callId":5,"payload":1}',
}


def recording_server() -> tuple[Server, HookRecorder, list[Any]]:
    """A server that notes what is dispatched of an event whose payload a handler wants."""
    server, got = make_server(), list[Any]()
    server.on("say", lambda socket, data: got.append(data))
    server.on("count", lambda: len(got))
    return server, HookRecorder(server), got


@pytest.mark.parametrize("name", NO_MESSAGES)
async def test_an_invalid_message_is_not_dispatched_and_the_connection_stays(name: str) -> None:
    server, recorder, got = recording_server()
    async with server, connect(server, "1") as peer:
        await peer.send_text(NO_MESSAGES[name])
        await peer.ws.send(NO_MESSAGES[name].encode())
        assert await peer.rest() == []
        assert got == []
        await peer.call("say", "right")
        assert got == ["right"]
        assert recorder.closes == []


BAD_CALLS = {
    "no event": '{"payload":1,"callbackId":"c1"}',
    "no event, id first": '{"callbackId":"c1","payload":1}',
    "event null": '{"event":null,"payload":1,"callbackId":"c1"}',
    "event number": '{"event":5,"payload":1,"callbackId":"c1"}',
    "event true": '{"event":true,"callbackId":"c1"}',
    "event list": '{"event":["say"],"payload":1,"callbackId":"c1"}',
    "event empty": '{"event":"","payload":1,"callbackId":"c1"}',
    "event reserved": '{"event":"$say","payload":1,"callbackId":"c1"}',
    "nan": '{"event":"say","payload":NaN,"callbackId":"c1"}',
    "infinity": '{"event":"say","payload":[Infinity],"callbackId":"c1"}',
    "surrogate in the event": '{"event":"say\\ud800","payload":1,"callbackId":"c1"}',
    "surrogate in the payload": '{"event":"say","payload":"\\ud800","callbackId":"c1"}',
    "deep payload": f'{{"event":"say","payload":{DEEP},"callbackId":"c1"}}',
    "deep payload of the original's client": f'{{"event":"say","callbackId":"c1","payload":{DEEP}}}',
    "deep object": f'{{"event":"say","payload":{DEEP_OBJECT},"callbackId":"c1"}}',
    "bad escape": '{"event":"say","payload":"\\x","callbackId":"c1"}',
    "spaces": ' { "event" : 5 , "callbackId" : "c1" } \n',
}


@pytest.mark.parametrize("name", BAD_CALLS)
async def test_a_bad_call_gets_an_error(name: str) -> None:
    server, recorder, got = recording_server()
    async with server, connect(server, "1") as peer:
        for frame in (BAD_CALLS[name], BAD_CALLS[name].encode()):
            await peer.ws.send(frame)
            answer = await peer.receive()
            assert answer["callbackId"] == "c1"
            assert answer["error"]["code"] in ("INVALID_MESSAGE", "INVALID_PAYLOAD", "NO_HANDLER")
            assert isinstance(answer["error"]["message"], str)
        assert got == []
        assert await peer.call("count") == 0
        assert await peer.rest() == []
        assert recorder.closes == []


async def test_an_id_inside_the_payload_is_not_the_calls() -> None:
    server, _, got = recording_server()
    async with server, connect(server) as peer:
        await peer.send_text('{"event":5,"payload":{"callbackId":"inner"}}')
        await peer.send_text('{"event":5,"payload":"\\",\\"callbackId\\":\\"inner\\"}"}')
        await peer.send_text(f'{{"event":"say","payload":[{{"callbackId":"inner"}},{DEEP}]}}')
        assert await peer.rest() == []
        assert got == []


@pytest.mark.parametrize(
    "payload",
    [LONG_INTEGER, "-" + LONG_INTEGER, "0." + LONG_INTEGER, "1e" + LONG_INTEGER[:1000], '"' + LONG_INTEGER + '"'],
    ids=["integer", "negative", "fraction", "exponent", "string"],
)
async def test_long_numbers_are_parsed_or_refused(payload: str) -> None:
    server, _, got = recording_server()
    async with server, connect(server) as peer, connect(server) as other:
        await peer.send_text(f'{{"event":"say","payload":{payload},"callbackId":"c"}}')
        answer = await peer.receive(timeout=20)
        assert answer["callbackId"] == "c"
        if "error" in answer:
            assert answer["error"]["code"] == "INVALID_PAYLOAD"
            assert got == []
        else:
            assert len(got) == 1
        await other.call("say", 1)
        assert await peer.rest() == []


@pytest.mark.parametrize(
    "key",
    ["__proto__", "__class__", "__init__", "constructor", "toString", "$x", "", "event", "callbackId", "\0"],
)
async def test_keys_that_mean_something_elsewhere_are_just_keys(key: str) -> None:
    server = make_server()
    server.on("echo", lambda socket, data: data)
    async with server, connect(server) as peer:
        payload = {key: {key: [1]}}
        assert await peer.call("echo", payload) == payload
        # Beside the known ones they are ignored.
        await peer.send("echo", 1, callbackId="a", **{key + "_": "x", "toString": 1, "__class__": {}})
        assert (await peer.receive())["payload"] == 1


async def test_the_last_of_two_equal_keys_counts() -> None:
    server, _, got = recording_server()
    async with server, connect(server) as peer:
        await peer.send_text('{"event":"no","event":"say","payload":1,"payload":2,"callbackId":"a","callbackId":"b"}')
        assert await peer.receive() == {"payload": None, "callbackId": "b"}
        assert got == [2]


async def test_any_character_of_a_message_may_be_escaped() -> None:
    server, _, got = recording_server()
    async with server, connect(server) as peer:
        await peer.send_text('{"\\u0065vent":"s\\u0061y","payload":"\\ud83c\\udf89\\u0000","callbackId":"\\u0061"}')
        assert await peer.receive() == {"payload": None, "callbackId": "a"}
        assert got == ["🎉\0"]


@pytest.mark.parametrize("payload", [b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"'], ids=["bytes", "surrogate", "escape"])
async def test_invalid_text_is_not_forwarded_by_a_handler_that_does_not_decode(payload: bytes) -> None:
    server = make_server()

    @server.on("say")
    def say(socket: Socket, data: msgspec.Raw) -> None:
        server.everyone.send("said", data)

    async with server, connect(server) as peer, connect(server) as other:
        await peer.ws.send(b'{"event":"say","payload":%b,"callbackId":"a"}' % payload)
        assert (await peer.receive())["error"]["code"] == "INVALID_MESSAGE"
        await peer.ws.send(b'{"event":"say","payload":"\xc3\xa9"}')
        assert await other.event() == ("said", "é")


async def test_a_payload_that_no_handler_wants_is_not_decoded() -> None:
    server, calls = make_server(), list[int]()

    @server.on("say")
    def say(socket: Socket) -> str:
        calls.append(1)
        return "fine"

    async with server, connect(server) as peer:
        await peer.send_text('{"event":"say","payload":"\\ud800","callbackId":"a"}')
        assert (await peer.receive())["callbackId"] == "a"
        assert await peer.call("say", LONG_INTEGER[:1000]) == "fine"
