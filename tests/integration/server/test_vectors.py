"""Recorded traffic of the original: frames of its clients are accepted, and those of Crosswire are the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crosswire import Server, Socket
from tests.integration.server.support import HookRecorder, connect, make_server

FOLDER = Path(__file__).parents[2] / "data" / "vectors"
FILES = ["original-json.jsonl", "original-msgpack.jsonl"]


def steps(name: str) -> dict[str, list[dict[str, Any]]]:
    """The WebSocket frames of each step; those of one connection are in order."""
    found: dict[str, list[dict[str, Any]]] = {}
    step = ""
    for line in (FOLDER / name).read_text().splitlines():
        record = json.loads(line)
        if "step" in record:
            step = record["step"]
            found[step] = []
        elif "ws" in record:
            found[step].append(record)
    return found


def frames(records: list[dict[str, Any]], client: str, direction: str) -> list[str]:
    return [record["text"] for record in records if (record["ws"], record["dir"]) == (client, direction)]


def original_server() -> Server:
    """A server with the handlers of the recorded one; the clients' ids are 1 and 2."""
    server = make_server()

    @server.on("say")
    def say(socket: Socket, data: Any) -> Any:
        return {"msg": "reply", "got": data}

    return server


@pytest.mark.parametrize("name", FILES)
async def test_every_frame_of_a_client_is_accepted_and_answered_as_the_original_did(name: str) -> None:
    server, heard = original_server(), list[Any]()
    recorder = HookRecorder(server)
    server.on("say", lambda socket, data: heard.append(data))
    exchanged = 0
    async with server, connect(server, "1") as one:
        for step, records in steps(name).items():
            sent = frames(records, "c1", "to_server")
            if not sent:
                continue
            for text in sent:
                exchanged += 1
                await one.send_text(text)
            for expected in frames(records, "c1", "to_client"):
                assert await one.receive_frame() == expected, step
            assert await one.rest() == [], step
        assert exchanged == 3
        assert [data["msg"] for data in heard] == ["hi", "hi"]
        assert recorder.errors == []


SENDS: dict[str, Any] = {
    "broadcast": lambda server: server.everyone.send("news", {"text": "to everyone"}),
    "broadcast local only": lambda server: server.everyone.send("news", {"text": "local"}, local=True),
    "unicast to a client on the other server": lambda server: server.user("2").send("say", {"text": "to 2"}),
    "unicast to a client nowhere": lambda server: server.user("99").send("say", {"text": "to nobody"}),
    "multicast": lambda server: server.users(["1", "2", "99"]).send("say", {"text": "to 1, 2, 99"}),
    "room broadcast": lambda server: server.room("chat", "1000").send("roomSay", {"text": "to room"}),
    "room broadcast, excluding client 2": lambda server: server.room("chat", "1000").send(
        "roomSay", {"text": "not 2"}, exclude=["2"]
    ),
}


@pytest.mark.parametrize("name", FILES)
async def test_what_audiences_send_are_the_bytes_of_the_original(name: str) -> None:
    server = original_server()
    recorder = HookRecorder(server)
    recorded = steps(name)
    async with server, connect(server, "1") as one, connect(server, "2") as two:
        for step, send in SENDS.items():
            records = recorded.pop(step)
            if step == "room broadcast":
                for socket in recorder.connected:
                    await socket.join("chat", "1000")
            send(server)
            for client, peer in (("c1", one), ("c2", two)):
                expected = frames(records, client, "to_client")
                if step == "broadcast local only" and client == "c2":
                    # There it was on another server; here it is on this one, and hears it too.
                    assert expected == []
                    expected = frames(records, "c1", "to_client")
                assert [await peer.receive_frame() for _ in expected] == expected, (step, client)
                assert await peer.rest() == [], (step, client)


@pytest.mark.parametrize("name", FILES)
async def test_unusual_payloads(name: str) -> None:
    server = original_server()
    expected = frames(steps(name)["unicast of unusual payloads"], "c2", "to_client")
    assert len(expected) == 5
    async with server, connect(server, "2") as two:
        for text in expected:
            message = json.loads(text)
            server.user("2").send(message["event"], message["payload"])
            got = await two.receive_frame()
            assert isinstance(got, str)
            assert json.loads(got) == message
            if "e-" not in text:  # of numbers written differently, such as 1e-7, the value is the same
                assert got == text


@pytest.mark.parametrize("name", FILES)
def test_no_frame_to_a_client_is_left_out(name: str) -> None:
    tested = {*SENDS, "heartbeat", "event without reply", "event with reply", "unicast of unusual payloads"}
    assert {step for step, records in steps(name).items() if records} <= tested
