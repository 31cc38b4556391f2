"""Owners of rooms: chosen alike on every node, and told when they change."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crosswire import ConfigError, Node, NodeGone, NoOwner, NotConnected, OwnerChange, UsageError
from crosswire.cluster.interface import Bus
from crosswire.cluster.owners import CHECKED_AT_ONCE
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import make_server, running, running_nodes
from tests.support.aio import wait_until


def two_arguments(change: Any, more: Any) -> None: ...


ROOMS = [("game", str(number)) for number in range(60)]


def owners(node: Node) -> dict[tuple[str, str], str]:
    return {room: node.owner(*room) for room in ROOMS}


def room_of(node: Node, owner: str) -> tuple[str, str]:
    """Return a room that a node owns."""
    return next(room for room, name in owners(node).items() if name == owner)


async def test_all_nodes_choose_the_same_owner(bus: Bus) -> None:
    server = make_server("server", bus)
    a, b = Node("a", bus=bus), Node("b", bus=bus)
    async with running(server, a, b):
        assert owners(a) == owners(b) == owners(server.cluster)
        assert set(owners(a).values()) == {"a", "b", "server"}


async def test_when_a_node_leaves_only_its_rooms_move_and_return_with_it(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b):
        c = Node("c", bus=bus)
        async with running(c):
            await wait_until(lambda: len(a.nodes) == len(b.nodes) == 3)
            with_c = owners(a)
        await wait_until(lambda: len(a.nodes) == len(b.nodes) == 2)
        assert owners(a) == owners(b)
        assert {room for room in ROOMS if owners(a)[room] != with_c[room]} == {r for r in ROOMS if with_c[r] == "c"}
        async with running(Node("c", bus=bus)):
            await wait_until(lambda: len(a.nodes) == 3)
            assert owners(a) == with_c


async def test_a_node_alone_owns_everything() -> None:
    async with Node("a") as a:
        assert set(owners(a).values()) == {"a"}


async def test_handlers_are_told_of_each_change_once(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b):
        room = ("game", "1")
        told: dict[str, list[OwnerChange]] = {"a": [], "b": []}
        for node in (a, b):
            node.watch_owner(*room, told[node.name].append)
        names = iter(f"c{number}" for number in range(1000))
        first = a.owner(*room)
        while True:  # until one comes that gets the room
            newcomer = Node(next(names), bus=bus)
            async with running(newcomer):
                await wait_until(lambda: len(a.nodes) == len(b.nodes) == 3)
                mine = newcomer.owner(*room) == newcomer.name
            await wait_until(lambda: len(a.nodes) == len(b.nodes) == 2)
            if mine:
                break
        there, back = OwnerChange(*room, newcomer.name, first), OwnerChange(*room, first, newcomer.name)
        await wait_until(lambda: told == {"a": [there, back], "b": [there, back]})


async def test_a_handler_that_was_removed_is_told_nothing(bus: Bus) -> None:
    kept: list[OwnerChange] = []
    removed: list[OwnerChange] = []
    others: list[OwnerChange] = []
    async with running_nodes(bus, "a") as (a,):
        async with running_nodes(bus, "b"):
            await wait_until(lambda: len(a.nodes) == 2)
            one, other = [room for room, owner in owners(a).items() if owner == "b"][:2]
            for handler in (kept.append, removed.append):
                a.watch_owner(*one, handler)
            for handler in (removed.append, others.append):
                a.watch_owner(*other, handler)
            a.unwatch_owner(*one, removed.append)
            a.unwatch_owner(*other)
            a.unwatch_owner("game", "never watched")
        await wait_until(lambda: kept == [OwnerChange(*one, "a", "b")])
        assert removed == others == []


async def test_changes_while_a_handler_is_at_work_are_told_as_one(bus: Bus) -> None:
    release = asyncio.Event()
    told: list[OwnerChange] = []

    async def slow(change: OwnerChange) -> None:
        told.append(change)
        await release.wait()

    async with running_nodes(bus, "a") as (a,):
        async with running_nodes(bus, "b", "c"):
            await wait_until(lambda: len(a.nodes) == 3)
            room = room_of(a, "b")
            a.watch_owner(*room, slow)
        await wait_until(lambda: len(told) == 1)
        heir = told[0].owner
        assert heir in ("a", "c")  # "c" may have left a little later than "b"
        async with running_nodes(bus, "b"):
            await wait_until(lambda: len(a.nodes) == 2)
            assert a.owner(*room) == "b"
        await wait_until(lambda: len(a.nodes) == 1)
        async with running_nodes(bus, "b"):
            await wait_until(lambda: len(a.nodes) == 2)
            assert len(told) == 1
            release.set()
            await wait_until(lambda: told[1:] == [OwnerChange(*room, "b", heir)])


async def test_a_handler_that_fails_hides_no_other_room(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def fail(change: OwnerChange) -> None:
        told.append(change.id)
        raise RuntimeError("of the application")

    async with running_nodes(bus, "a") as (a,):
        async with running_nodes(bus, "b"):
            await wait_until(lambda: len(a.nodes) == 2)
            mine = [room for room, owner in owners(a).items() if owner == "b"]
            for room in mine:
                a.watch_owner(*room, fail)
        await wait_until(lambda: told == [id_ for _, id_ in mine])
    assert caplog.text.count("watch_owner failed") == len(mine)


async def test_many_rooms_are_checked_in_turns(bus: Bus) -> None:
    told: list[str] = []
    async with running_nodes(bus, "a") as (a,):
        async with running_nodes(bus, "b"):
            await wait_until(lambda: len(a.nodes) == 2)
            for number in range(3 * CHECKED_AT_ONCE):
                a.watch_owner("doc", str(number), lambda change: told.append(change.id))
            theirs = [str(number) for number in range(3 * CHECKED_AT_ONCE) if a.owner("doc", str(number)) == "b"]
        await wait_until(lambda: told == theirs)


async def test_a_restart_that_replaces_the_owner_is_no_change(bus: Bus) -> None:
    told: list[OwnerChange] = []
    async with running_nodes(bus, "a") as (a,), scripted_node(bus) as scripted:
        scripted.native.announce(scripted.beat_of())
        await wait_until(lambda: "scripted" in a.nodes)
        room = room_of(a, "scripted")
        a.watch_owner(*room, told.append)
        first = a.nodes["scripted"].incarnation
        scripted.port.subscribe(scripted.channels.incarnation("f" * 16), lambda _body: None)
        await scripted.port.wait_listening(scripted.channels.incarnation("f" * 16))
        scripted.port.unsubscribe(scripted.channels.incarnation(first))
        scripted.native.announce(scripted.beat_of(incarnation="f" * 16, since=scripted.beat_of().since + 1))
        await wait_until(lambda: a.nodes["scripted"].incarnation != first)
        async with running(Node("c", bus=bus, owns=())):
            await wait_until(lambda: "c" in a.nodes)
        await wait_until(lambda: "c" not in a.nodes)
        assert told == []


# Who may own


async def test_a_node_owns_only_namespaces_that_its_option_names(bus: Bus) -> None:
    server = make_server("docs", bus, owns=["doc"])
    games, none = Node("games", bus=bus, owns=["game"]), Node("none", bus=bus, owns=())
    async with running(server, games, none):
        for each in (server.cluster, games, none):
            assert set(owners(each).values()) == {"games"}
            assert each.owner("doc", "1") == "docs"
            with pytest.raises(NoOwner, match="'chat'") as raised:
                each.owner("chat", "1")
            assert isinstance(raised.value, NodeGone)
            assert raised.value.code == "NO_OWNER"


async def test_a_room_may_lose_its_last_owner_and_get_one_again(bus: Bus) -> None:
    told: list[OwnerChange] = []
    watcher = Node("watcher", bus=bus, owns=())
    async with running(watcher):
        watcher.watch_owner("game", "1", told.append)
        for _ in range(2):
            async with running_nodes(bus, "a"):
                await wait_until(lambda: len(watcher.nodes) == 2)
            await wait_until(lambda: len(watcher.nodes) == 1)
        there, gone = OwnerChange("game", "1", "a", None), OwnerChange("game", "1", None, "a")
        await wait_until(lambda: told == [there, gone, there, gone])


async def test_misuse_raises_at_once(bus: Bus) -> None:
    with pytest.raises(ConfigError, match="owns"):
        Node("a", owns="game")
    a = Node("a", bus=bus)
    with pytest.raises(NotConnected):
        a.owner("game", "1")
    with pytest.raises(NotConnected):
        a.watch_owner("game", "1", lambda: None)
    async with a:
        wrong: list[tuple[Any, Any]] = [("", "1"), ("game", ""), (1, "1"), ("game", 1)]
        for names in wrong:
            with pytest.raises(UsageError):
                a.owner(*names)
        with pytest.raises(ConfigError):
            a.watch_owner("game", "1", two_arguments)  # type: ignore[arg-type]
        a.unwatch_owner("game", "1")
