"""The recorded traffic of the original, and helpers to play its part on a Redis."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec

from crosswire import Compat, Redis, Server, Socket
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import make_server

VECTORS = Path(__file__).parents[2] / "data" / "vectors"
FORMATS = ("json", "msgpack")
BRIDGE = "csbp:server_bridge"

Message = tuple[str, bytes]
"""A Redis channel, and what is published there."""


def recorded(format: str) -> list[Message]:
    """All that the original servers published, in order."""
    lines = [json.loads(line) for line in (VECTORS / f"original-{format}.jsonl").read_text().splitlines()]
    published = [line for line in lines if "redis_channel" in line]
    return [(each["redis_channel"], _body(each)) for each in published]


def frames_to(client: str, format: str) -> list[str]:
    """All that a client of the original got as events, in order."""
    lines = [json.loads(line) for line in (VECTORS / f"original-{format}.jsonl").read_text().splitlines()]
    texts = [line["text"] for line in lines if line.get("ws") == client and line["dir"] == "to_client"]
    return [text for text in texts if '"event"' in text]


def decoded(message: Message, format: str) -> tuple[str, Any]:
    channel, body = message
    return channel, msgspec.json.decode(body) if format == "json" else msgspec.msgpack.decode(body)


def encoded(data: Any, format: str) -> bytes:
    return msgspec.json.encode(data) if format == "json" else msgspec.msgpack.encode(data)


def without_ids(messages: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The same with the generated ids replaced by their order."""
    names: dict[str, str] = {}
    result = []
    for channel, message in messages:
        if channel == BRIDGE and "callbackId" in message["data"]:
            id_ = message["data"]["callbackId"]
            message = {"data": {**message["data"], "callbackId": names.setdefault(id_, f"call {len(names)}")}}
        result.append((channel, message))
    return result


def compat_bus(redis: RedisProcess, format: str, *, preset_namespaces: Collection[str] = (), **options: Any) -> Redis:
    compat = Compat(compress=format == "msgpack", preset_namespaces=preset_namespaces)
    return Redis(redis.url, compat=compat, **options)


def adding_server(name: str, bus: Redis) -> Server:
    """A server with the handlers of the recorded ones."""
    server = make_server(name, bus)

    @server.on("say")
    def say(socket: Socket, data: Any) -> dict[str, Any]:
        return {"msg": "reply", "got": data}

    @server.cluster.on("sum")
    def add(sender: str, data: dict[str, int]) -> dict[str, Any]:
        return {"total": data["a"] + data["b"], "by": name}

    return server


def foreign(heard: list[Message], bus: Redis) -> list[Message]:
    """Return the messages on channels to which an original server could subscribe."""
    return [each for each in heard if not each[0].startswith(bus.prefix)]


def _body(line: dict[str, Any]) -> bytes:
    return base64.b64decode(line["base64"]) if "base64" in line else line["text"].encode()
