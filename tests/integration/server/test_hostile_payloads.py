"""Payloads that are made to hurt get an answer or a refusal, and cost neither memory nor a long turn of the loop."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from crosswire import Limits
from tests.integration.server.support import connect, make_server
from tests.support.aio import wait_until
from tests.support.attacks import attacked_server, attacker, event, frame

MIB = 1 << 20
SIZE = MIB - 200
LONGEST_TURN = 100
"""Milliseconds of CPU time; the machines of tests are slow, and half of it is what is promised."""


def array_of(item: str) -> str:
    return f"[{','.join([item] * (SIZE // (len(item) + 1)))}]"


REFUSED = {
    "depth of 100,000": ("[" * 100_000 + "]" * 100_000, "INVALID_MESSAGE"),
    "depth of 100,000 in objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, "INVALID_MESSAGE"),
    "depth that does not end": ("[" * SIZE, "INVALID_MESSAGE"),
    "an integer of 1 MiB": ("9" * SIZE, "INVALID_PAYLOAD"),
    "many slow numbers": (array_of("1e-310"), "TOO_LARGE"),
    "many large exponents": (array_of("1.7976931348623157e308"), "TOO_LARGE"),
    "many lists": (array_of("[]"), "TOO_LARGE"),
    "NaN": ("NaN", "INVALID_MESSAGE"),
    "Infinity": ("-Infinity", "INVALID_MESSAGE"),
    "a number without a value": ("1e999", "INVALID_PAYLOAD"),
    "half a character": (r'"\ud800"', "INVALID_MESSAGE"),
    "a control character": ('"\x00"', "INVALID_MESSAGE"),
    "an unknown escape": (r'"\x41"', "INVALID_MESSAGE"),
}
ANSWERED = {
    "a fraction of 1 MiB": f"0.{'9' * SIZE}",
    "NUL": r'"a\u0000b"',
    "keys twice": '{"a": 1, "a": 2}',
    "__proto__": '{"__proto__": {"admin": true}, "constructor": null}',
    "many keys": "{" + ",".join(f'"k{number:x}":1' for number in range(10_000)) + "}",
    "escapes": '"' + '\\"' * (SIZE // 2) + '"',
    "text with an emoji": f'"{"x" * (SIZE // 2)}\U0001f600"',
}


@pytest.mark.parametrize("handler", ["echo", "keep"], ids=["plain", "asynchronous"])
async def test_hostile_json_is_answered_or_refused(handler: str) -> None:
    async with attacked_server(limits=Limits(outbox=8 * MIB)) as server, attacker(server, "user=1") as raw:
        await server.state()
        for name, (payload, code) in REFUSED.items():
            raw.send(frame(1, f'{{"event":"{handler}","payload":{payload},"callbackId":"{len(name)}"}}'.encode()))
            (answer,) = await raw.frames(1)
            assert json.loads(answer.payload)["error"]["code"] == code, name
            assert (await server.state()).longest_turn < LONGEST_TURN, name
        for name, payload in ANSWERED.items():
            raw.send(frame(1, f'{{"event":"{handler}","callbackId":"{len(name)}","payload":{payload}}}'.encode()))
            (answer,) = await raw.frames(1)
            expected = json.loads(payload) if handler == "echo" else None
            assert json.loads(answer.payload)["payload"] == expected, name
            assert (await server.state()).longest_turn < LONGEST_TURN, name


@pytest.mark.parametrize("item", ["[]", "1e-310"])
async def test_what_no_handler_gets_is_not_decoded(item: str) -> None:
    async with attacked_server() as server, attacker(server, "user=1") as raw:
        await server.state()
        for field in ("traceparent", "unknown", "callId"):
            message = f'{{"event":"echo","{field}":{array_of(item)},"payload":1,"callbackId":"1"}}'
            raw.send(frame(1, message.encode()))
            assert await raw.frames(1)
            assert (await server.state()).longest_turn < LONGEST_TURN, field


def packed(payload: bytes) -> bytes:
    return b"\x83\xa5event\xa4echo\xaacallbackId\xa1x\xa7payload" + payload


PACKED: dict[str, tuple[bytes, Any]] = {
    "an array of 2^32-1": (packed(b"\xdd\xff\xff\xff\xff"), None),
    "a map of 2^32-1": (packed(b"\xdf\xff\xff\xff\xff\xa1a\x01"), None),
    "a text of 2^32-1": (packed(b"\xdb\xff\xff\xff\xffx"), None),
    "depth": (packed(b"\x91" * 100_000), None),
    "an extension": (packed(b"\xc7\x01\x05a"), "INVALID_PAYLOAD"),
    "an extension as a key": (packed(b"\x81\xd4\x05a\x01"), "INVALID_PAYLOAD"),
    "text that is no UTF-8": (packed(b"\xa1\xff"), "INVALID_PAYLOAD"),
    "a list as a key": (packed(b"\x81\x91\x01\x01"), "INVALID_PAYLOAD"),
    "many lists": (packed(b"\xdd" + (SIZE).to_bytes(4, "big") + b"\x90" * SIZE), "TOO_LARGE"),
    "many objects": (packed(b"\xdd" + (SIZE // 3).to_bytes(4, "big") + b"\x81\xa0\x80" * (SIZE // 3)), "TOO_LARGE"),
    "a time": (packed(b"\xd6\xff\x00\x00\x00\x01"), "1970-01-01T00:00:01Z"),
    "NaN": (packed(b"\xcb\x7f\xf8" + bytes(6)), None),
    "bytes as a key": (packed(b"\x81\xc4\x01a\x01"), {"YQ==": 1}),
    "many small numbers": (packed(b"\xdc\xff\xff" + b"\x01" * 65_535), [1] * 65_535),
}


async def test_hostile_messagepack_is_answered_or_refused() -> None:
    server = make_server(limits=Limits(outbox=8 * MIB))
    server.on("echo", lambda socket, data: data)
    async with server, connect(server, "1", subprotocols=["crosswire.msgpack"]) as peer:
        for name, (message, expected) in PACKED.items():
            await peer.ws.send(message)
            if expected is None and name != "NaN":  # no id can be found in what is no message
                continue
            answer = msgspec.msgpack.decode(await peer.receive_frame())  # type: ignore[arg-type]
            got = answer["error"]["code"] if "error" in answer else answer["payload"]
            assert got == expected, name


async def test_bad_frames_write_few_lines_and_unknown_names_stay_nowhere() -> None:
    async with attacked_server() as server, attacker(server, "user=1") as raw:
        await raw.flood(event("first") * 10)
        before, began = await server.memory(trim=True), time.monotonic()
        for number in range(20):
            unknown = b"".join(event(f"name\n{number} {each}") for each in range(5_000))
            assert await raw.flood(frame(1, b"{") * 5_000 + unknown)
        raw.send(event("echo", 1, "1"))
        assert await raw.frames(1)
        state = await server.state()
        assert await server.memory(trim=True) - before < 4 * MIB
        assert state.log_lines < 20 + 10 * (time.monotonic() - began)
        assert not [line for line in state.log if "\n" in line]


async def test_names_have_a_length() -> None:
    server = make_server(limits=Limits(name=10))
    errors: list[Exception] = []
    server.on_error(lambda socket, error: errors.append(error))

    @server.on("join")
    async def join(socket: Any, data: list[str]) -> None:
        await socket.join(*data)

    @server.on("identify")
    async def identify(socket: Any, data: str) -> str:
        await socket.identify(data)
        return str(socket.user)

    long = "n" * 11
    async with server, connect(server, "1") as peer:
        for name, payload in (("join", [long, "1"]), ("join", ["chat", long]), ("identify", long), (long, None)):
            assert (await peer.refused(name, payload))[0] == "NAME_TOO_LONG"
        await peer.send(long)
        await wait_until(lambda: errors)
        assert await peer.call("identify", "n" * 10) == "n" * 10
        replies = await server.room("chat", long).add("n" * 10)
        assert [error.code for error in replies.errors.values()] == ["NAME_TOO_LONG"]
        assert await peer.call("join", ["chat", "1"]) is None
        async with connect(server, long) as other:
            assert (await other.closed()).code == 1013
        assert {getattr(error, "code", None) for error in errors} == {"NAME_TOO_LONG"}


async def test_joins_have_a_rate() -> None:
    server = make_server(limits=Limits(joins=1))

    @server.on("turn")
    async def turn(socket: Any, data: str) -> None:
        await socket.join("chat", data)
        await socket.leave("chat", data)

    async with server, connect(server, "1") as peer:
        for number in range(10):
            assert await peer.call("turn", str(number)) is None
        assert (await peer.refused("turn", "more"))[0] == "JOIN_RATE"


async def test_calls_to_a_client_that_does_not_answer_are_bounded() -> None:
    server = make_server(limits=Limits(calls=2))
    failures = list[str]()

    @server.on("ask")
    async def ask(socket: Any) -> None:
        try:
            await socket.call("name", timeout=100)
        except Exception as error:
            failures.append(str(error))
            raise

    async with server, connect(server, "1") as peer:
        for _ in range(2):
            await peer.send("ask")
            await peer.receive()
        assert (await peer.refused("ask"))[0] == "CALL_LIMIT"
        replies = await server.user("1").gather("name")
        assert [error.code for error in replies.errors.values()] == ["CALL_LIMIT"]
        assert len(failures) == 1
