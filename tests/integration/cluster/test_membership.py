from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from crosswire import ConfigError, MemoryBus, Node, NodeInfo
from crosswire.cluster.interface import Bus
from crosswire.cluster.joining import HOLDER_TIMEOUT, Joining
from crosswire.core.envelopes import NameTaken
from crosswire.core.membership import BEAT_INTERVAL, DEAD_AFTER, SUSPECT_AFTER
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import (
    DETECTION_TIMEOUT,
    RecordingHandler,
    client,
    make_server,
    running,
    running_nodes,
    running_servers,
)
from tests.support.aio import wait_until
from tests.support.defaults import set_default


class Changes:
    """Notes who comes and goes, as one node sees it."""

    def __init__(self, node: Node) -> None:
        self.told: list[str] = []
        self.infos: list[NodeInfo] = []
        node.on_join(self._join)
        node.on_leave(self._leave)

    def _join(self, info: NodeInfo) -> None:
        self.told.append(f"+{info.name}")
        self.infos.append(info)

    def _leave(self, info: NodeInfo, reason: str) -> None:
        self.told.append(f"-{info.name} {reason}")
        self.infos.append(info)


async def test_members_joins_and_leaves_are_reported(bus: Bus) -> None:
    began = time.time()
    async with running_nodes(bus, "a") as (a,):
        changes = Changes(a)
        assert list(a.nodes) == ["a"]
        server = make_server("b", bus)
        async with running(server), client(server, "1"):
            await wait_until(lambda: changes.told == ["+b"])
            (info,) = changes.infos
            assert (info.name, info.incarnation) == ("b", server.cluster.incarnation)
            assert began <= info.since <= time.time()
            await wait_until(lambda: a.nodes["b"].connections == 1)  # with the next beat
            assert server.cluster.nodes["b"].connections == 1  # of itself it knows at once
            assert server.cluster.nodes.keys() == a.nodes.keys() == {"a", "b"}
        await wait_until(lambda: changes.told == ["+b", "-b goodbye"])
        assert list(a.nodes) == ["a"]


async def test_a_new_node_knows_all_members_when_it_has_started(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    set_default(monkeypatch, Joining, "welcome_timeout", 30)  # it does not wait that long, but until all have answered
    async with running_nodes(bus, *"abcde"), Node("f", bus=bus) as f:
        assert f.nodes.keys() == set("abcdef")


async def test_a_member_that_was_slow_to_answer_is_waited_for(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    set_default(monkeypatch, Joining, "welcome_timeout", 0.01)
    async with scripted_node(bus) as scripted, Node("a", bus=bus) as a:
        waiting = asyncio.create_task(a.wait_for_members())
        await wait_until(lambda: any(beat.name == "a" for beat in scripted.beats))
        scripted.native.announce(scripted.beat_of())
        await asyncio.wait_for(waiting, DEAD_AFTER + 1)
        assert a.nodes.keys() == {"a", "scripted"}


async def test_a_node_learns_that_its_name_was_taken_over(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,), scripted_node(bus, "a") as successor:
        successor.answers_pings = True
        waiting = asyncio.create_task(a.wait_until_replaced())
        while not waiting.done():
            successor.native.announce(successor.beat_of())
            await asyncio.wait({waiting}, timeout=BEAT_INTERVAL)


async def test_many_that_start_at_once_know_each_other(bus: Bus) -> None:
    nodes = [Node(f"node {number}", bus=bus) for number in range(10)]
    await asyncio.gather(*(node.start() for node in nodes))
    await wait_until(lambda: all(len(node.nodes) == 10 for node in nodes))
    await asyncio.gather(*(node.stop() for node in nodes))


async def test_a_restarted_node_is_another_run_of_the_same_name(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,):
        changes = Changes(a)
        b = Node("b", bus=bus)
        for _ in range(3):
            await b.start()
            await b.stop()
        await wait_until(lambda: changes.told == ["+b", "-b goodbye"] * 3)
        assert len({info.incarnation for info in changes.infos}) == 3


async def test_a_second_node_of_the_name_refuses_to_start(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_nodes(bus, "a", "b") as (a, b):
        b.on("x", lambda: "still here")
        changes = Changes(a)
        loop = asyncio.get_running_loop()
        began = loop.time()
        second: Any
        with monkeypatch.context() as patch:
            set_default(
                patch, Joining, "holder_timeout", 30
            )  # it does not wait that long, but until the holder answers
            for second in (Node("b", bus=bus), make_server("b", bus)):
                with pytest.raises(ConfigError, match=r"'b'.*choose another name"):
                    await second.start()
                assert not second.running
        assert loop.time() - began < 30
        assert await a.call("b", "x") == "still here"
        assert changes.told == []
        await b.stop()
        await second.start(listen=False)  # it was only the name
        await wait_until(lambda: changes.told == ["-b goodbye", "+b"])
        await second.stop()


async def test_the_name_of_a_node_that_does_not_answer_is_taken_over(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,), scripted_node(bus, "b") as scripted:
        await wait_until(lambda: "b" in a.nodes)
        changes = Changes(a)
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with Node("b", bus=bus) as successor:
            assert loop.time() - began > 0.9  # it waited for the holder's answer
            await wait_until(lambda: changes.told == ["-b replaced", "+b"])
            successor.on("x", lambda: "successor")
            assert await a.call("b", "x") == "successor"
            # When the first one wakes up, it is told that the name is another's.
            scripted.native.announce(scripted.beat_of())
            await wait_until(lambda: any(taken.replaced for taken in scripted.taken))
            assert a.nodes["b"].incarnation == successor.incarnation
            assert successor.running


async def test_a_node_handles_nothing_until_its_name_is_its_own(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    set_default(monkeypatch, Joining, "holder_timeout", 30)
    async with running_nodes(bus, "a") as (a,), scripted_node(bus, "b") as holder:
        await wait_until(lambda: "b" in a.nodes)
        second, heard = Node("b", bus=bus), RecordingHandler()
        second.on("x", heard)
        holder.answers_pings = True
        starting = asyncio.create_task(second.start())
        await wait_until(lambda: len(holder.beats) > 1 and holder.beats[-1].name == "b")  # it asks for its name
        call = asyncio.create_task(a.call("b", "x"))
        a.send("x", to="b")
        await wait_until(lambda: holder.requests)
        holder.requests[0].asker.answer("the holder's")
        assert await call == "the holder's"
        holder.native.send_to_incarnation(holder.beats[-1].incarnation, NameTaken("b", holder.beats[-1].incarnation))
        with pytest.raises(ConfigError):
            await starting
        assert heard.calls == []


async def test_events_for_a_name_that_is_taken_over_are_handled_by_the_started_node(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,), scripted_node(bus, "b") as holder:
        await wait_until(lambda: "b" in a.nodes)
        successor, heard = Node("b", bus=bus), RecordingHandler()
        successor.on("nodes", lambda: sorted(successor.nodes))
        successor.on("tell", lambda: successor.send("told", to="a"))
        successor.on("publish", lambda: successor.publish("orders"))
        a.on("told", heard)
        await a.subscribe("orders", heard)
        starting = asyncio.create_task(successor.start())
        await wait_until(lambda: any(beat.name == "b" for beat in holder.beats))
        for event in ("tell", "publish"):
            a.send(event, to="b")
        await wait_until(lambda: len(heard.calls) == 2)
        assert heard.calls == [("b", None)] * 2
        await starting
        assert await a.call("b", "nodes") == ["a", "b"]
        await successor.stop()


async def test_a_server_that_lost_its_name_closes_its_clients(bus: Bus) -> None:
    async with running_servers(bus, "a") as (a,), client(a, "1") as peer, scripted_node(bus, "a") as scripted:
        incarnation = a.cluster.incarnation
        scripted.native.send_to_incarnation("0" * 16, NameTaken("a", incarnation, replaced=True))  # for another node
        scripted.native.send_to_incarnation(incarnation, NameTaken("a", "0" * 16, replaced=True))  # about another node
        scripted.native.send_to_incarnation(incarnation, NameTaken("a", incarnation))  # it is late: the name was free
        assert await peer.call("hello") == "a"
        scripted.native.send_to_incarnation(incarnation, NameTaken("a", incarnation, replaced=True))
        scripted.native.announce(scripted.beat_of())  # it does not answer, so it may be nobody
        await asyncio.sleep(HOLDER_TIMEOUT)
        assert await peer.call("hello") == "a"
        scripted.answers_pings = True
        await asyncio.sleep(BEAT_INTERVAL)
        scripted.native.announce(scripted.beat_of())
        assert (await peer.closed()).code == 1001
        await wait_until(lambda: not a.running and not a.cluster.running)


async def test_a_silent_member_is_asked_before_it_is_given_up() -> None:
    bus = MemoryBus()
    async with running_nodes(bus, "a") as (a,), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        changes = Changes(a)
        loop = asyncio.get_running_loop()
        began = loop.time()
        answered = False
        while not changes.told:
            assert loop.time() - began < SUSPECT_AFTER + DETECTION_TIMEOUT
            if not answered and any(beat.asks for beat in scripted.beats if beat.name == "a"):
                assert loop.time() - began > SUSPECT_AFTER - 0.5
                answered = True
                scripted.native.announce(scripted.beat_of())
            await asyncio.sleep(0.01)
        assert changes.told == ["-scripted timeout"]
        assert answered
        assert loop.time() - began > SUSPECT_AFTER + DEAD_AFTER - 1  # it lived on after its answer


async def test_failing_hooks_do_not_affect_the_cluster(bus: Bus) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("broken")

    async with running_nodes(bus, "a") as (a,):
        a.on_join(broken)
        a.on_leave(broken)
        changes = Changes(a)
        async with running_nodes(bus, "b"):
            pass
        await wait_until(lambda: changes.told == ["+b", "-b goodbye"])
        a.off("on_join", broken)
        a.off(a.on_leave)
        async with running_nodes(bus, "b"):
            await wait_until(lambda: changes.told[2:] == ["+b"])
