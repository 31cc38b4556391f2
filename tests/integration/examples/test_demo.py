"""examples/demo: the chat of `make demo` lives, serves its page, takes strangers in, and ends cleanly."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from crosswire import CallTimeout, Client, Close, EventError
from tests.integration.examples.scripts import Script, running
from tests.support import aio

DEMO = "examples/demo/demo.py"
FILES = {
    "/": "text/html",
    "/page.css": "text/css",
    "/page.js": "text/javascript",
    "/connection.js": "text/javascript",
    "/view.js": "text/javascript",
}


@pytest.fixture(scope="module")
def demo() -> Iterator[Script]:
    with running(DEMO, "--port", "0", "--pace", "0.2") as script:
        script.wait_for(r"Ada is here")
        yield script


def address_of(demo: Script) -> str:
    return demo.wait_for(r"Open http://(\S+) in a browser")[1]


def visitor(address: str, name: str, key: str = "mine") -> Client:
    return Client(f"ws://{address}", params={"name": name, "key": key})


class Ear:
    """Notes what a client hears, by event."""

    def __init__(self, client: Client, *events: str) -> None:
        self.heard: dict[str, list[Any]] = {event: [] for event in events}
        for event, heard in self.heard.items():
            client.on(event, heard.append)

    async def wait_for(self, event: str, **fields: Any) -> Any:
        def found() -> list[Any]:
            return [each for each in self.heard[event] if fields.items() <= each.items()]

        await aio.wait_until(found, timeout=20)
        return found()[0]


def test_it_runs_and_ends_with_ctrl_c() -> None:
    with running(DEMO, "--port", "0", "--pace", "0.2") as demo:
        demo.wait_for(r"Ada is here")
        demo.wait_for(r"#lobby +Carmen: How does one message get to all of us")
        demo.wait_for(r"#lobby +Ada: One line on the server")  # they answer each other
        demo.wait_for(r"\d connected, \d rooms, \d+ messages so far")

        assert demo.interrupt() == 0
        assert "Traceback" not in demo.output
        assert re.search(r"\n  Stopped after \d+ messages\.\n$", demo.output)


@pytest.mark.parametrize("path", FILES)
def test_the_page_is_served_with_all_that_it_needs(demo: Script, path: str) -> None:
    with urllib.request.urlopen(f"http://{address_of(demo)}{path}", timeout=10) as response:
        body = response.read().decode()
        assert response.headers["Content-Type"] == f"{FILES[path]}; charset=utf-8"
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    wanted = set(re.findall(r'(?:src|href|from) ?=? ?"(/[^"]*)"', body))
    assert wanted <= FILES.keys()
    assert "innerHTML" not in body  # what strangers write becomes text, never HTML


def test_a_visitor_takes_part(demo: Script) -> None:
    address = address_of(demo)
    demo.wait_for(r"Deniz is here")

    async def visit() -> None:
        client = visitor(address, "Nora")
        ear = Ear(client, "welcome", "said", "poll", "polled", "joined")
        async with client:
            welcome = await ear.wait_for("welcome", you="Nora")
            assert {"name": "Ada", "bot": True} in welcome["people"]
            assert {"name": "Nora", "bot": False} in welcome["people"]
            assert {"lobby", "music", "games"} <= welcome["rooms"].keys()
            joined = await client.call("join", {"room": "lobby"})
            assert {"Ada", "Nora"} <= set(joined["members"])

            await ear.wait_for("said", to="room", name="lobby")  # the talk goes on
            await ear.wait_for("said", to="user", **{"from": "Ada"})  # she welcomes us
            await client.call("say", {"to": "user", "name": "Basho", "text": "Are you there?"})
            answer = await ear.wait_for("said", to="user", **{"from": "Basho"})
            assert "Nora" in answer["text"]
            await client.call("say", {"to": "everyone", "text": "Hello!\x1b[2J"})
            await ear.wait_for("said", to="everyone", **{"from": "Nora"})

    aio.run(visit())
    demo.wait_for(r"private +Nora to Basho, 14 characters")  # its text stays between the two
    demo.wait_for(r"everyone +Nora: Hello!\ufffd\[2J")  # a terminal would obey the escape
    demo.wait_for(r"Nora is gone")


def test_a_room_is_asked_and_hears_the_result(demo: Script) -> None:
    address = address_of(demo)
    demo.wait_for(r"Carmen joined")

    async def visit() -> None:
        voter, silent = visitor(address, "Nora"), visitor(address, "Omar")
        voter.on("poll", lambda poll: poll["options"][1])
        ear = Ear(voter, "polled")
        async with voter, silent:
            for client in (voter, silent):
                await client.call("join", {"room": "quiet corner"})
            question = {"room": "quiet corner", "question": "Stay?", "options": ["No", "Yes"], "seconds": 0.3}
            assert await voter.call("ask", question) == {"No": 0, "Yes": 1}
            polled = await ear.wait_for("polled", room="quiet corner")
            assert (polled["votes"], polled["silent"]) == ({"No": 0, "Yes": 1}, 1)

    aio.run(visit())
    demo.wait_for(r"#quiet corner +Stay\? No 0, Yes 1 +1 did not answer")


@pytest.mark.parametrize(
    ("event", "data", "code"),
    [
        ("say", {"to": "room", "name": "music", "text": "hi"}, "NOT_IN_ROOM"),
        ("say", {"to": "user", "name": "Nobody", "text": "hi"}, "NOT_HERE"),
        ("say", {"to": "user", "text": "hi"}, "NO_NAME"),
        ("say", {"to": "everyone", "text": ""}, "INVALID_PAYLOAD"),
        ("say", {"to": "everyone", "text": "x" * 501}, "INVALID_PAYLOAD"),
        ("say", {"to": "nowhere", "text": "hi"}, "INVALID_PAYLOAD"),
        ("join", {"room": " "}, "INVALID_PAYLOAD"),
        ("ask", {"room": "lobby", "question": "?", "options": ["a", "b"], "seconds": 1}, "NOT_IN_ROOM"),
    ],
)
def test_what_makes_no_sense_is_refused(demo: Script, event: str, data: Any, code: str) -> None:
    address = address_of(demo)

    async def visit() -> str:
        async with visitor(address, "Nora") as client:
            try:
                await client.call(event, data)
            except EventError as refused:
                return refused.code
            except CallTimeout:
                return "no answer"
        return "no refusal"

    assert aio.run(visit()) == code


@pytest.mark.parametrize("name", ["", " ", "Ada", "x" * 25, " Nora"])
def test_a_name_that_is_taken_or_none_is_refused(demo: Script, name: str) -> None:
    address = address_of(demo)

    async def visit() -> Close:
        closed: asyncio.Queue[Close] = asyncio.Queue()
        client = visitor(address, name)
        client.on_close(closed.put_nowait)
        async with client:
            return await asyncio.wait_for(closed.get(), 10)

    close = aio.run(visit())
    assert close.code == 4011
    assert close.reason


def test_who_comes_back_with_the_same_key_keeps_the_name(demo: Script) -> None:
    address = address_of(demo)

    async def visit() -> Close:
        closed: asyncio.Queue[Close] = asyncio.Queue()
        first, second = visitor(address, "Pia"), visitor(address, "Pia")
        first.on_close(closed.put_nowait)
        async with first, second:
            return await asyncio.wait_for(closed.get(), 10)

    assert aio.run(visit()).code == 4012
    demo.wait_for(r"Pia is gone \(4001")
    assert demo.output.count("Pia is gone") == 1


def test_a_port_in_use_is_said_with_what_to_do(demo: Script) -> None:
    port = address_of(demo).rpartition(":")[2]
    with running(DEMO, "--port", port) as second:
        assert second.wait() == 1
        assert "Choose another port: make demo PORT=" in second.output
        assert "Traceback" not in second.output
