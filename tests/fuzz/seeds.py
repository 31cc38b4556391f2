"""The hand-written and recorded inputs of the corpora: ``python -m tests.fuzz.seeds`` writes them into ``corpus/``.

What the fuzzer adds is named by its hash, and stays.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from crosswire.core import envelopes
from crosswire.core.deflate import compress
from crosswire.core.envelopes import (
    Answer,
    Batch,
    Beat,
    Claim,
    ClientBatch,
    ClientMessage,
    Doubt,
    Envelope,
    Event,
    Goodbye,
    NameTaken,
    NodeRequest,
    PublishedMessage,
    RequestRefusal,
    TextBatch,
    pack_header,
)
from crosswire.testing.socket_peer import upgrade_request
from tests.fuzz.bus_records import encode_records
from tests.fuzz.corpus import FOLDER
from tests.fuzz.frames import DEFLATE, MSGPACK, OURS, PENDING, PIECES
from tests.fuzz.hostile_server import ENDED, UPGRADED
from tests.fuzz.hostile_server import MSGPACK as CLIENT_MSGPACK
from tests.fuzz.hostile_server import PIECES as SERVER_PIECES
from tests.fuzz.original import MSGPACK as ORIGINAL_MSGPACK
from tests.integration.transport.hostile_frames import GROUPS
from tests.integration.transport.raw_connection import close_frame, frame

DATA = Path(__file__).parents[1] / "data"
MAX_SEED = 2000
"""Bytes of the longest input that is kept."""

Seeds = Iterator[tuple[str, bytes]]

_LINE = b"GET /ws HTTP/1.1\r\n"
_HOST = b"Host: x\r\n"
_UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
_ACCEPT = b"Sec-WebSocket-Accept"
_KEY = b"Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"


def http_heads() -> Seeds:
    """Yield requests, right ones and wrong ones."""
    upgrade = _LINE + _HOST + _UPGRADE + _KEY
    yield "upgrade", upgrade + b"\r\n"
    yield "upgrade with a frame", upgrade + b"\r\n" + frame(0x81, b'{"event":"echo","payload":1,"callbackId":"1"}')
    yield (
        "upgrade with deflate",
        upgrade + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
    )
    yield "upgrade with msgpack", upgrade + b"Sec-WebSocket-Protocol: crosswire.msgpack, x\r\n\r\n"
    yield "upgrade with a body", upgrade + b"Content-Length: 5\r\n\r\nhello"
    yield "two keys", upgrade + _KEY + b"\r\n"
    yield "two upgrades", upgrade + b"Upgrade: h2c\r\n\r\n"
    yield "two hosts", upgrade + _HOST + b"\r\n"
    yield "no host", _LINE + _UPGRADE + _KEY + b"\r\n"
    yield "bare line feeds", upgrade.replace(b"\r\n", b"\n") + b"\n"
    yield "bare carriage returns", upgrade.replace(b"\r\n", b"\r") + b"\r"
    yield "nul in a field", _LINE + _HOST + b"X: a\0b\r\n\r\n"
    yield "nul in the line", b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "page", b"GET /page?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "head", b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "options", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "connect", b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "absolute", b"GET http://x/page HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "old", b"GET /page HTTP/1.0\r\n\r\n"
    yield "ancient", b"GET /page\r\n\r\n"
    yield "future", b"GET /page HTTP/2.0\r\nHost: x\r\n\r\n"
    yield "http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "continued", b"GET /page HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n"
    yield "space before the colon", b"GET /page HTTP/1.1\r\nHost : x\r\n\r\n"
    yield (
        "chunked",
        b"POST /page HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    )
    yield (
        "smuggling",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
    )
    yield "expect", b"POST /page HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
    yield "negative length", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"
    yield "pipelined", b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n" * 2
    yield "beyond ascii", "GET /ä?ö=ü HTTP/1.1\r\nHost: x\r\nX: é\r\n\r\n".encode()
    yield "many fields", _LINE + _HOST + b"A: b\r\n" * 30 + b"\r\n"
    yield "long line", b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n"
    yield "tls", bytes.fromhex("160301020001000001fc0303") + bytes(40)
    yield "proxy header", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + upgrade + b"\r\n"
    yield "ssh", b"SSH-2.0-OpenSSH_9.6\r\n"
    yield "of ours", upgrade_request("/ws?_cw=2&id=1", [("Origin", "https://example.com")])


_MESSAGES = [
    "",
    '{"event":"echo","payload":{"a":[1,2.5,null,true,"\\u00e9"]},"callbackId":"1"}',
    '{"event":"later","payload":1,"callbackId":"2"}',
    '{"event":"stuck","callbackId":"3"}',
    '{"event":"move","payload":{"x":1,"to":["a"],"how":{"b":1e3}},"callbackId":"4"}',
    '{"event":"move","payload":{"x":"1"},"callbackId":"5"}',
    '{"event":"join","payload":"lobby","callbackId":"6"}',
    '{"event":"tell","payload":{"to":"all"}}',
    '{"event":"leave","payload":"lobby","callbackId":"7"}',
    '{"event":"refuse","callbackId":"8"}',
    '{"event":"nobody","callbackId":"9"}',
    '{"event":"$background"}',
    '{"event":"$foreground"}',
    '{"event":"$ready"}',
    '{"event":"$x","callbackId":5}',
    '{"callId":"1","payload":1}',
    '{"callId":"1","error":{"code":"x","message":"y"}}',
    '{"event":"echo","payload":NaN,"callbackId":"a"}',
    '{"event":"echo","payload":' + "[" * 200 + "]" * 200 + ',"callbackId":"b"}',
    '{"event":"echo","payload":' + "9" * 400 + ',"callbackId":"c"}',
    '{"event":"\\ud800","callbackId":"d"}',
    "[]",
    "no json",
]


def frames() -> Seeds:
    """Yield frames behind an upgrade: messages, recorded traffic, and the table of hostile frames."""
    for number, text in enumerate(_MESSAGES):
        yield f"message {number}", bytes((OURS,)) + frame(0x81, text.encode())
    packed = [msgspec.msgpack.encode(msgspec.json.decode(text)) for text in _MESSAGES[1:12]]
    yield "messagepack", bytes((MSGPACK,)) + b"".join(frame(0x82, each) for each in packed)
    yield "compressed", bytes((DEFLATE,)) + b"".join(frame(0xC1, compress(each.encode())) for each in _MESSAGES[1:9])
    yield "all", bytes((0,)) + b"".join(frame(0x81, each.encode()) for each in _MESSAGES) + close_frame(1000)
    yield "in pieces", bytes((PIECES,)) + b"".join(frame(0x81, each.encode()) for each in _MESSAGES[1:9])
    yield "pending", bytes((PENDING | OURS,)) + b"".join(frame(0x81, each.encode()) for each in _MESSAGES)
    yield "pings and pongs", b"\0" + frame(0x89, b"ping") * 20 + frame(0x8A, b"pong") * 20 + frame(0x81) * 20
    sent = [frame(0x81, line["text"].encode()) for line in _vectors("json") if line.get("dir") == "to_server"]
    yield "recorded", b"\0" + b"".join(sent)
    for group, cases in GROUPS.items():
        for case in cases():
            if len(case.sent) < MAX_SEED and not case.name.endswith(("split at 1", "split at 3", "split at 5")):
                yield f"{group} {case.name}", bytes((DEFLATE if case.deflate else 0,)) + case.sent


_EVERYONE_TO_ROOM = range(7)
"""Numbers of the channels of a server on a bus, in the order of their names; see ``bus_server.py``."""


def bus_messages() -> Seeds:
    """Yield envelopes of each kind on each channel."""
    nothing = envelopes.pack(None)
    payload = envelopes.pack({"a": [1, "x"]})
    request = NodeRequest("b", "0" * 16, "1", "echo", payload)
    messages: dict[str, Envelope] = {
        "client message": ClientMessage(b'{"event":"told","payload":1}', ("2",), None, ("x",)),
        "client messagepack": ClientMessage(b"{}", (), b"\x80"),
        "clients' batch": ClientBatch([ClientMessage(b'{"event":"a"}'), ClientMessage(b'{"event":"b"}', ("2",))]),
        "clients' batch with a bad message": ClientBatch([ClientMessage(b'{"event":"a"}'), ClientMessage(b"{")]),
        "clients' texts": TextBatch([b'{"event":"a"}', b'{"event":"b"}']),
        "clients' texts with a bad one": TextBatch([b'{"event":"a"}', b"{"]),
        "no json": ClientMessage(b"{", ("1",), b"\xc1"),
        "claim": Claim("0" * 16, 1, True),
        "event": Event("b", "echo", payload, "00-" + "1" * 32 + "-" + "2" * 16 + "-01"),
        "request": request,
        "answer": Answer("b", "1", nothing),
        "refusal": RequestRefusal("b", "1", "NO", "no"),
        "batch": Batch([Event("b", "echo", payload), request, Answer("b", "1", nothing)]),
        "beat": Beat("b", "1" * 16, 1.0, 1, 5, True, True, ("redis://x",), True, "native", ("chat",)),
        "goodbye": Goodbye("b", "1" * 16, 2),
        "name taken": NameTaken("c", "2" * 16, True),
        "doubt": Doubt("b", "1" * 16),
        "published": PublishedMessage("b", payload),
    }
    services: dict[str, object] = {
        "$count": {"target": {"type": "room", "namespace": "chat", "id": "lobby"}},
        "$members": {"namespace": "chat", "id": "lobby"},
        "$add": {"room": {"namespace": "chat", "id": "lobby"}, "user": "1"},
        "$remove": {"room": {"namespace": "chat", "id": "lobby"}, "user": "1"},
        "$gather": {"target": {"type": "everyone"}, "event": "x", "data": None, "timeout": 0.01},
        "$status": None,
        "$none": None,
    }
    for name, data in services.items():
        messages[f"service {name[1:]}"] = NodeRequest("b", "0" * 16, "1", name, envelopes.pack(data))
    for name, message in messages.items():
        body = envelopes.encode(message)
        yield name, encode_records([(place, 1, body) for place in _EVERYONE_TO_ROOM])
    beats = [envelopes.encode(Beat(f"m{number}", f"{number:016x}", 1.0, number)) for number in range(20)]
    yield "members", encode_records([(place, 1, beat) for beat in beats for place in (1, 2, 3, 4)][:50])
    event = envelopes.encode(Event("b", "echo", payload))
    out_of_order = [3, 1, 2, 9, 9, 8, 4, 2**64 - 1, 5]
    headers = [pack_header(b"strange!", number, number - 1) + event for number in out_of_order]
    yield "out of order", encode_records([(place, 0, each) for each in headers for place in (3, 4)])
    yield "no header", encode_records([(place, 0, b'{"data":"x"}') for place in _EVERYONE_TO_ROOM])


def original_messages() -> Seeds:
    """Yield recorded messages of the original's servers, and wrong ones."""
    for encoding, first in (("json", 0), ("msgpack", ORIGINAL_MSGPACK)):
        bodies = [
            line["text"].encode() if "text" in line else base64.b64decode(line["base64"])
            for line in _vectors(encoding)
            if "redis_channel" in line
        ]
        for start in range(0, len(bodies), 10):
            some = [(place, 0, body) for body in bodies[start : start + 10] for place in range(4)]
            yield f"{encoding} {start}", bytes((first,)) + encode_records(some)
    odd = [b"", b"{}", b"[]", b'{"data":5}', b'{"data":"{"}', b'{"event":"","senderServer":"x"}', b"\x81\xa4data\xc1"]
    for first in (0, ORIGINAL_MSGPACK):
        yield f"odd {first}", bytes((first,)) + encode_records([(place, 0, body) for body in odd for place in range(5)])


def redis_replies() -> Seeds:
    """Yield replies for the subscriber, the publisher, the login and the question to a sentinel."""

    def array(*parts: bytes) -> bytes:
        return b"*%d\r\n" % len(parts) + b"".join(parts)

    def bulk(value: bytes) -> bytes:
        return b"$%d\r\n%b\r\n" % (len(value), value)

    confirmed = b"".join(array(bulk(b"subscribe"), bulk(name), b":1\r\n") for name in (b"c", b"a", b"b", b"probe"))
    message = array(bulk(b"message"), bulk(b"b"), bulk(b"hello"))
    pong = array(bulk(b"pong"), bulk(b""))
    odd = [
        array(),
        b"*-1\r\n",
        b"$-1\r\n",
        b":5\r\n",
        b"+OK\r\n",
        b"-ERR no\r\n",
        array(bulk(b"message")),
        array(bulk(b"message"), bulk(b"b")),
        array(bulk(b"message"), b":1\r\n", b":2\r\n"),
        array(bulk(b"message"), array(), bulk(b"x")),
        array(array(array())),
        array(bulk(b"pmessage"), bulk(b"*"), bulk(b"b"), bulk(b"x")),
        array(bulk(b"master"), b":0\r\n", array()),
        array(b":1\r\n"),
        array(bulk(b"10.0.0.1"), bulk(b"6379")),
        array(bulk(b"\xff"), bulk(b"99999999999999999999")),
        array(b"-LOADING\r\n"),
        b"%1\r\n+a\r\n+b\r\n",
        b"_\r\n",
        b"#t\r\n",
        b">3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n",
        b"$1000000000000\r\n",
        b"*1\r\n" * 50,
        b"no protocol\r\n",
    ]
    yield "subscribed", b"\0\0" + confirmed + pong + message * 3
    yield "subscribed in pieces", b"\0\3" + confirmed + pong + message
    yield "refused", b"\0\0-NOPERM no\r\n-NOPERM no\r\n" + pong
    yield "published", b"\1\0" + b":1\r\n:0\r\n:2\r\n+PONG\r\n" * 3
    yield "not published", b"\1\0" + b"-READONLY no\r\n"
    yield "refused to publish", b"\1\0" + b"-NOPERM no\r\n" * 9
    yield "logged in", b"\2\0+OK\r\n+OK\r\n+OK\r\n" + array(bulk(b"master"), b":0\r\n", array())
    yield "a replica", b"\2\0+OK\r\n+OK\r\n+OK\r\n" + array(bulk(b"slave"), bulk(b"x"), b":1\r\n")
    yield "login refused", b"\2\0-WRONGPASS no\r\n"
    yield "too many clients", b"\2\0-ERR max number of clients reached\r\n"
    yield "a master", b"\3\0+OK\r\n" + array(bulk(b"10.0.0.1"), bulk(b"6379"))
    yield "no master", b"\3\0+OK\r\n*-1\r\n"
    for number, reply in enumerate(odd):
        for kind in range(4):
            before = {0: confirmed, 1: b"", 2: b"+OK\r\n+OK\r\n+OK\r\n", 3: b"+OK\r\n"}[kind]
            yield f"odd {number} for {kind}", bytes((kind, 0)) + before + reply
        yield f"odd {number} before", b"\0\0" + reply + confirmed


def server_frames() -> Seeds:
    """Yield what servers send to clients, right and wrong."""

    def unmasked(first: int, payload: bytes) -> bytes:
        return (
            bytes((first, len(payload))) + payload
            if len(payload) < 126
            else (bytes((first, 126)) + len(payload).to_bytes(2, "big") + payload)
        )

    texts = [
        '{"event":"$ready"}',
        '{"event":"$ready","payload":{"id":"1"}}',
        '{"event":"news","payload":{"a":1}}',
        '{"event":"say","payload":1,"callId":"1"}',
        '{"event":"nobody","payload":1,"callId":"2"}',
        '{"payload":1,"callbackId":"1"}',
        '{"callbackId":"1","error":{"code":"x","message":"y"}}',
        '{"event":"$renew"}',
        '{"event":"$room","payload":{}}',
        *_MESSAGES[13:],
    ]
    upgraded = bytes((UPGRADED,))
    for number, text in enumerate(texts):
        yield f"message {number}", upgraded + unmasked(0x81, text.encode())
    every = b"".join(unmasked(0x81, text.encode()) for text in texts)
    yield "all in pieces", bytes((UPGRADED | SERVER_PIECES,)) + every
    yield "all and the end", bytes((UPGRADED | ENDED,)) + every
    packed = [msgspec.msgpack.encode(msgspec.json.decode(text)) for text in texts[:9]]
    yield "messagepack", bytes((UPGRADED | CLIENT_MSGPACK,)) + b"".join(unmasked(0x82, each) for each in packed)
    for group, cases in GROUPS.items():
        for number, case in enumerate(cases()):
            if len(case.sent) < 200 and number % 3 == 0:
                unmasking = case.sent[:1] + bytes((case.sent[1] & 0x7F,)) + case.sent[6:]
                yield f"{group} {number}", upgraded + unmasking
    for name, head in {
        "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        "another key": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%b: x\r\n\r\n" % _ACCEPT,
        "redirect": b"HTTP/1.1 301 Moved\r\nLocation: ws://x/\r\n\r\n",
        "no http": b"SSH-2.0-OpenSSH_9.6\r\n",
        "half": b"HTTP/1.1 101",
        "endless": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300,
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "two lengths": b"HTTP/1.1 403 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "large length": b"HTTP/1.1 403 No\r\nContent-Length: 99999999999999999999\r\n\r\nxx",
    }.items():
        yield f"response {name}", b"\0" + head
        yield f"response {name}, and the end", bytes((ENDED,)) + head


def _vectors(encoding: str) -> list[dict[str, str]]:
    lines = (DATA / "vectors" / f"original-{encoding}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


SEEDS = {
    "http_head": http_heads,
    "listener": http_heads,
    "frames": frames,
    "envelopes": bus_messages,
    "original": original_messages,
    "redis_replies": redis_replies,
    "hostile_server": server_frames,
}


def main() -> None:
    """Write all seeds."""
    for target, seeds in SEEDS.items():
        folder = FOLDER / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (folder / "".join(mark if mark.isalnum() else "-" for mark in name)).write_bytes(data)


if __name__ == "__main__":
    main()
