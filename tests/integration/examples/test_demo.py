"""examples/demo: the chat of `make demo` has visitors, survives the kill of a node, and ends cleanly."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crosswire import Client, Close, EventError, Refused
from tests.integration.examples.scripts import Script, running
from tests.support import aio
from tests.support.record_channels import record_channels

DEMO = "examples/demo/demo.py"
PAGE = Path(__file__).parents[3] / "examples/demo/page"
FILES = {"/": "text/html"} | {
    f"/{path.name}": {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}[path.suffix]
    for path in sorted(PAGE.iterdir())
}
NODES = ("node-1", "node-2", "node-3")
REDIS = ("redis-1", "redis-2")


@pytest.fixture(scope="module")
def demo() -> Iterator[Script]:
    with running(DEMO, "--port", "0", "--pace", "0.2") as script:
        for bot in ("Ada", "Basho", "Carmen", "Deniz"):  # they come in any order
            script.wait_for(rf"{bot} joined")
        yield script


class Place(NamedTuple):
    """Address and process of a node or Redis, as the terminal shows them."""

    address: str
    pid: int

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


def place_of(demo: Script, name: str = "node-1") -> Place:
    found = demo.wait_for(rf"^ +{name}  (?:http|redis)://(\S+)  pid (\d+)$")
    return Place(found[1], int(found[2]))


def address_of(demo: Script, node: str = "node-1") -> str:
    return place_of(demo, node).address


def visitor(address: str, name: str, key: str = "mine") -> Client:
    return Client(f"ws://{address}", params={"name": name, "key": key})


class EventRecorder:
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


def test_the_demo_runs_and_ends_with_ctrl_c() -> None:
    with running(DEMO, "--port", "0", "--pace", "0.2") as demo:
        demo.wait_for(r"Ada is here")
        demo.wait_for(r"#lobby +Carmen: How does one message get to all of us")
        demo.wait_for(r"#lobby +Ada: One line on the server")  # they answer each other
        demo.wait_for(r"\d connected to 3 nodes, \d+ messages so far")

        assert demo.interrupt() == 0
        assert "Traceback" not in demo.output, demo.output
        assert "there is no handler" not in demo.output
        assert re.search(r"\n  Stopped after \d+ messages\.\n$", demo.output)


@pytest.mark.parametrize("path", FILES)
def test_the_page_is_served_with_all_its_files(demo: Script, path: str) -> None:
    with urllib.request.urlopen(f"http://{address_of(demo)}{path}", timeout=10) as response:
        body = response.read().decode()
        assert response.headers["Content-Type"] == f"{FILES[path]}; charset=utf-8"
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    wanted = set(re.findall(r'(?:src|href|from) ?=? ?"(/[^"]*)"', body))
    assert wanted <= FILES.keys()
    assert "innerHTML" not in body  # what strangers write becomes text, never HTML


async def test_a_visitor_talks_in_rooms_to_users_and_to_everyone(demo: Script) -> None:
    address = address_of(demo)

    client = visitor(address, "Nora")
    recorder = EventRecorder(client, "welcome", "said", "poll", "polled", "joined")
    async with client:
        welcome = await recorder.wait_for("welcome", you="Nora")
        vitals = welcome["vitals"]
        assert vitals["node"] == "node-1"
        assert {"name": "Ada", "bot": True, "node": "node-1"} in welcome["people"]
        assert {"name": "Nora", "bot": False, "node": "node-1"} in welcome["people"]
        ports = {node: place_of(demo, node).port for node in NODES}
        assert {node["name"]: node["port"] for node in vitals["nodes"]} == ports
        assert [(redis["name"], redis["healthy"]) for redis in vitals["redis"]] == [
            ("redis-1", True),
            ("redis-2", True),
        ]
        assert {"lobby", "music", "games"} <= welcome["rooms"].keys()
        joined = await client.call("join", {"room": "lobby"})
        assert {"Ada", "Nora"} <= set(joined["members"])

        await recorder.wait_for("said", to="room", name="lobby")  # the talk goes on
        await recorder.wait_for("said", to="user", **{"from": "Ada"})  # she welcomes us
        await client.call("say", {"to": "user", "name": "Basho", "text": "Are you there?"})
        answer = await recorder.wait_for("said", to="user", **{"from": "Basho"})
        assert "Nora" in answer["text"]
        await client.call("say", {"to": "everyone", "text": "Hello!\x1b[2J"})
        await recorder.wait_for("said", to="everyone", **{"from": "Nora"})
    demo.wait_for(r"private +Nora to Basho, 14 characters")  # its text stays between the two
    demo.wait_for(r"everyone +Nora: Hello!\ufffd\[2J")  # a terminal would obey the escape
    demo.wait_for(r"Nora is gone")


async def test_a_room_is_asked_and_hears_the_result(demo: Script) -> None:
    address = address_of(demo)

    voter, silent = visitor(address, "Nora"), visitor(address_of(demo, "node-2"), "Omar")
    voter.on("poll", lambda poll: poll["options"][1])
    recorder = EventRecorder(voter, "polled")
    async with voter, silent:
        for client in (voter, silent):
            await client.call("join", {"room": "quiet corner"})
        question = {"room": "quiet corner", "question": "Stay?", "options": ["No", "Yes"], "seconds": 2}
        assert await voter.call("ask", question) == {"No": 0, "Yes": 1}
        polled = await recorder.wait_for("polled", room="quiet corner")
        assert (polled["votes"], polled["silent"]) == ({"No": 0, "Yes": 1}, 1)
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
async def test_invalid_requests_are_refused(demo: Script, event: str, data: Any, code: str) -> None:
    address = address_of(demo)

    async with visitor(address, "Nora") as client:
        with pytest.raises(EventError) as refused:
            await client.call(event, data)
    assert refused.value.code == code


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("name", ["", "Ada", "x" * 25, " Nora"])
async def test_a_name_that_is_taken_on_any_node_or_none_is_refused(demo: Script, name: str, node: str) -> None:
    address = address_of(demo, node)

    with pytest.raises(Refused) as caught:
        await visitor(address, name).connect()
    assert caught.value.code == 4011
    assert caught.value.reason


@pytest.mark.parametrize("node", ["node-1", "node-2"])
async def test_a_visitor_with_the_same_key_keeps_the_name(demo: Script, node: str) -> None:
    name = f"Pia {node}"

    closed: asyncio.Queue[Close] = asyncio.Queue()
    first, second = visitor(address_of(demo), name), visitor(address_of(demo, node), name)
    first.on_close(closed.put_nowait)
    recorder = EventRecorder(first, "welcome")
    async with first:
        await recorder.wait_for("welcome")  # the newer connection is the one that is let in later
        async with second:
            result = await asyncio.wait_for(closed.get(), 20)
    assert result.code == 4012
    demo.wait_for(rf"{name} is gone \(4001")
    assert demo.output.count(f"{name} is gone") == 1


async def test_people_on_different_nodes_meet(demo: Script) -> None:
    addresses = [address_of(demo, node) for node in NODES]

    people = [visitor(address, f"Guest {number}") for number, address in enumerate(addresses)]
    recorders = [EventRecorder(person, "said", "joined", "went") for person in people]
    async with people[0], people[2]:
        async with people[1]:
            joined = [await person.call("join", {"room": "attic"}) for person in people]
            assert set(joined[-1]["members"]) == {"Guest 0", "Guest 1", "Guest 2"}
            await people[1].call("say", {"to": "room", "name": "attic", "text": "Up here!"})
            await people[1].call("say", {"to": "user", "name": "Guest 2", "text": "Psst"})
        for recorder in recorders:
            await recorder.wait_for("said", name="attic", text="Up here!", **{"from": "Guest 1"})
        await recorders[2].wait_for("said", to="user", text="Psst")
        for recorder in (recorders[0], recorders[2]):
            await recorder.wait_for("went", name="Guest 1", node="node-2")
        assert "Psst" not in {said["text"] for said in recorders[0].heard["said"]}


async def test_a_node_that_is_killed_loses_nobody_and_comes_back() -> None:
    with running(DEMO, "--port", "0", "--pace", "0.2", "--restart-after", "0.2") as demo:
        demo.wait_for(r"node-2 .*Basho joined")
        node_1, node_2 = place_of(demo, "node-1"), place_of(demo, "node-2")

        watcher, moving = visitor(node_1.address, "Vera"), visitor(node_2.address, "Milan")
        recorder = EventRecorder(watcher, "welcome", "said", "arrived", "vitals")
        lost = asyncio.Event()
        moving.on_close(lost.set)
        async with watcher:
            await recorder.wait_for("welcome", you="Vera")
            async with moving:
                await moving.call("say", {"to": "everyone", "text": "I was on node-2"})
                await recorder.wait_for("said", text="I was on node-2")
                os.kill(node_2.pid, signal.SIGKILL)
                await asyncio.wait_for(lost.wait(), 20)
            await recorder.wait_for("arrived", name="Basho", node="node-3")  # a bot goes to the next node
            async with visitor(node_1.address, "Milan"):
                await recorder.wait_for("arrived", name="Milan", node="node-1")
            await aio.wait_until(lambda: restarted(recorder, node_2), timeout=20)
        assert int(demo.wait_for(r"node-2 is back at http://\S+ +pid (\d+)")[1]) != node_2.pid
        assert "node-2 ended with SIGKILL" in demo.output

        # Visit the node that is back.
        watcher, late = visitor(node_1.address, "Vera"), visitor(node_2.address, "Late")
        recorder, welcomed = EventRecorder(watcher, "welcome", "said"), EventRecorder(late, "welcome")
        async with watcher, late:
            await recorder.wait_for("welcome", you="Vera")
            welcome = await welcomed.wait_for("welcome", you="Late")
            assert welcome["vitals"]["node"] == "node-2"
            assert "I was on node-2" in {said["text"] for said in welcome["recent"]}  # the others kept it
            assert {person["node"] for person in welcome["people"]} == set(NODES)
            await late.call("say", {"to": "everyone", "text": "And I am again"})
            await recorder.wait_for("said", text="And I am again", **{"from": "Late"})
        assert demo.interrupt() == 0
        assert "Traceback" not in demo.output, demo.output


def restarted(recorder: EventRecorder, before: Place) -> bool:
    """Whether a node that was killed is said to be there again, where it was."""
    nodes = [node for vitals in recorder.heard["vitals"] for node in vitals["nodes"]]
    return any(node["port"] == before.port and node["pid"] != before.pid for node in nodes)


async def test_visitors_kill_a_redis_and_a_node_and_nothing_is_lost() -> None:
    with running(DEMO, "--port", "0", "--pace", "0.2", "--restart-after", "4") as demo:
        demo.wait_for(r"Deniz joined")
        node_1, node_2 = place_of(demo, "node-1"), place_of(demo, "node-2")

        killer, hearer = visitor(node_1.address, "Vera"), visitor(place_of(demo, "node-3").address, "Milan")
        recorder = EventRecorder(hearer, "welcome", "said", "vitals")

        def healthy() -> list[bool]:
            return [redis["healthy"] for redis in recorder.heard["vitals"][-1]["redis"]]

        async with killer, hearer:
            await recorder.wait_for("welcome", you="Milan")
            await killer.call("kill", {"name": "redis-1"})
            await aio.wait_until(lambda: recorder.heard["vitals"] and healthy() == [False, True], timeout=20)
            await killer.call("say", {"to": "everyone", "text": "By the other one"})
            await recorder.wait_for("said", text="By the other one")
            await aio.wait_until(lambda: healthy() == [True, True], timeout=20)
            for _ in range(2):  # by two visitors at once, say
                await killer.call("kill", {"name": "node-2"})
            await aio.wait_until(lambda: restarted(recorder, node_2), timeout=20)
            for name in REDIS:  # none is left to answer through
                await killer.call("kill", {"name": name})
            await aio.wait_until(lambda: healthy() == [False, False], timeout=20)
            await aio.wait_until(lambda: healthy() == [True, True], timeout=20)
        for name in (*REDIS, "node-2"):
            assert f"{name} ended with SIGKILL" in demo.output
        assert demo.interrupt() == 0
        assert "Traceback" not in demo.output, demo.output


async def test_news_of_the_launcher_are_published_on_both_redis(demo: Script) -> None:
    """A killed Redis may lose a message before it is passed on, so the other one must have got it too."""

    def has_news(heard: list[tuple[str, bytes]]) -> bool:
        return any(b" are connected to " in body for _, body in heard)

    ports = [place_of(demo, name).port for name in REDIS]

    async with record_channels(ports[0], "*") as first, record_channels(ports[1], "*") as second:
        await aio.wait_until(lambda: has_news(first) and has_news(second), timeout=20)


async def test_a_visitor_during_an_outage_of_redis_sees_everybody_afterwards() -> None:
    with running(DEMO, "--port", "0", "--pace", "0.2") as demo:
        demo.wait_for(r"Deniz joined")
        address = address_of(demo)
        valkeys = [place_of(demo, name).pid for name in REDIS]

        client = visitor(address, "Vera")
        recorder = EventRecorder(client, "welcome", "picture")
        for pid in valkeys:
            os.kill(pid, signal.SIGSTOP)
        async with client:
            try:
                await recorder.wait_for("welcome", you="Vera")
            finally:
                for pid in valkeys:
                    os.kill(pid, signal.SIGCONT)
            await aio.wait_until(
                lambda: any({"Vera", "Ada", "Basho"} <= names(each) for each in recorder.heard["picture"]), timeout=20
            )


def names(picture: Any) -> set[str]:
    return {person["name"] for person in picture["people"]}


@pytest.mark.parametrize("name", ["redis-3", "launcher", "node-9"])
async def test_only_nodes_and_redis_can_be_killed(demo: Script, name: str) -> None:
    assert await refusal_of_kill(address_of(demo), name) == "NOT_ALLOWED"


async def test_nothing_is_killed_by_visitors_from_other_machines() -> None:
    with running(DEMO, "--port", "0", "--host", "0.0.0.0") as demo:
        address = address_of(demo)
        for name in ("node-2", "redis-1"):
            assert await refusal_of_kill(address, name) == "NOT_ALLOWED"


async def test_nothing_is_killed_by_a_page_from_elsewhere(demo: Script) -> None:
    assert await refusal_of_kill(address_of(demo), "node-2", {"Origin": "http://example.com"}) == "NOT_ALLOWED"


async def refusal_of_kill(address: str, name: str, headers: dict[str, str] | None = None) -> str:
    async with Client(f"ws://{address}", params={"name": "Vera", "key": "mine"}, headers=headers) as client:
        with pytest.raises(EventError) as refused:
            await client.call("kill", {"name": name})
    return refused.value.code


async def test_no_process_outlives_a_demo_that_is_killed() -> None:
    with running(DEMO, "--port", "0") as demo:
        ports = [place_of(demo, name).port for name in (*NODES, *REDIS)]
        demo.stop()
    await aio.wait_until(lambda: not any(map(listens, ports)), timeout=20)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_port_in_use_is_reported_with_advice() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with running(DEMO, "--port", str(holder.getsockname()[1])) as demo:
            assert demo.wait() == 1
            assert "can't listen on" in demo.output
            assert re.search(r"node-\d can't be started", demo.output)
            assert "Choose other ports: make demo PORT=" in demo.output
            assert "Traceback" not in demo.output, demo.output
