"""Messages to the same recipients are joined within a turn of the event loop, in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crosswire import Server, Socket
from tests.integration.server.support import Peer, connect, make_server


def scripted_server() -> Server:
    """A server whose handler ``run`` takes a script of sends, joins and leaves, and does it in one turn."""
    server = make_server()

    @server.on("run")
    async def run(socket: Socket, data: str) -> None:
        b = server.socket_of("b")
        assert b is not None
        sends: dict[str, Callable[[str], None]] = {
            "e": server.everyone.send,
            "r": server.room("chat", "1").send,
            "a": server.user("a").send,
            "s": b.send,
            "x": lambda event: server.everyone.send(event, exclude=["a"]),
        }
        for number, step in enumerate(data):
            if step == "J":
                await socket.join("chat", "1")
            elif step == "j":
                await b.join("chat", "1")
            elif step == "l":
                await b.leave("chat", "1")
            else:
                sends[step](f"{step}{number}")

    return server


async def events_before_end(peer: Peer) -> list[str]:
    events: list[str] = []
    while (event := (await peer.event())[0]) != "end":
        events.append(event)
    return events


@pytest.mark.parametrize(
    ("script", "to_a", "to_b"),
    [
        ("eeaesexe", "e0 e1 a2 e3 e5 e7", "e0 e1 e3 s4 e5 x6 e7"),
        ("rjrrlrjr", "", "r2 r3 r7"),
        ("Jrjrlr", "r1 r3 r5", "r3"),
        ("jrerer", "e2 e4", "r1 e2 r3 e4 r5"),
        ("jrrslssr", "", "r1 r2 s3 s5 s6"),
    ],
)
async def test_everything_sent_in_one_turn_arrives_in_order(script: str, to_a: str, to_b: str) -> None:
    server = scripted_server()
    async with server, connect(server, "a") as a, connect(server, "b") as b:
        await a.send("run", script)
        await a.send("run", "")  # handlers run in order: behind it, the first has ended
        server.on("end", lambda: server.everyone.send("end"))
        await a.send("end")
        assert await events_before_end(a) == to_a.split()
        assert await events_before_end(b) == to_b.split()


async def test_what_was_sent_before_a_close_arrives_before_it() -> None:
    server = make_server()

    @server.on("last")
    def last() -> None:
        server.everyone.send("first")
        server.everyone.send("second")
        b = server.socket_of("b")
        assert b is not None
        b.close(4010, "out")
        server.everyone.send("third")

    async with server, connect(server, "a") as a, connect(server, "b") as b:
        await a.send("last")
        assert [(await b.event())[0] for _ in range(2)] == ["first", "second"]
        assert (await b.closed()).code == 4010
        assert [(await a.event())[0] for _ in range(3)] == ["first", "second", "third"]
