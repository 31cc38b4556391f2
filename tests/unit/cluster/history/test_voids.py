from __future__ import annotations

import asyncio

from crosswire.cluster.history.voids import MAX_VOID, NOBODY, OWNER_TIMEOUT, TAKE_OVER_WITHIN, VoidRooms
from crosswire.core.targets import ToRoom
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

ROOM, OTHER = ToRoom("chat", "1"), ToRoom("chat", "2")


def always(_room: ToRoom) -> bool:
    return True


def never(_room: ToRoom) -> bool:
    return False


async def test_the_node_that_has_voided_a_room_begins_the_epoch() -> None:
    voids = VoidRooms("own")
    voids.note(ROOM, "a")
    await asyncio.sleep(OWNER_TIMEOUT / 2)
    assert voids.due({"a"}, always) == []
    assert ROOM in voids

    voids.began(ROOM, ["a"])
    assert ROOM not in voids


async def test_another_takes_over_when_it_is_gone() -> None:
    voids = VoidRooms("own")
    voids.note(ROOM, "a")
    voids.note(OTHER, "b")
    voids.node_left("a")
    await asyncio.sleep(TAKE_OVER_WITHIN)
    assert voids.due({"b"}, always) == [ROOM]
    assert voids.due({"b"}, always) == []  # it has begun
    await asyncio.sleep(OWNER_TIMEOUT)
    assert voids.due({"b"}, always) == [ROOM, OTHER]  # nobody has said so, and b does nothing


async def test_nothing_is_due_while_the_log_can_not_be_reached() -> None:
    voids = VoidRooms("own")
    voids.note(ROOM, NOBODY)
    await asyncio.sleep(100)
    assert voids.due((), never) == []
    assert voids.due((), always) == [ROOM]


async def test_a_living_node_has_time_after_its_log_came_back() -> None:
    voids = VoidRooms("own")
    voids.note(ROOM, "a")
    await asyncio.sleep(100)
    assert voids.due({"a"}, never) == []
    assert voids.due({"a"}, always) == []
    await asyncio.sleep(OWNER_TIMEOUT)
    assert voids.due({"a"}, always) == [ROOM]


async def test_a_room_is_void_until_all_have_begun_anew() -> None:
    voids = VoidRooms("own")
    for owner in ("own", "a", NOBODY):
        voids.note(ROOM, owner)
    assert voids.owners(ROOM) == ["own", "a", NOBODY]
    assert voids.for_newcomer({"a"}) == [ROOM]
    voids.began(ROOM, ["own", NOBODY])
    assert ROOM in voids
    await asyncio.sleep(100)
    assert voids.due((), always) == [ROOM]


async def test_what_this_node_has_voided_is_left_to_its_queue() -> None:
    voids = VoidRooms("own")
    voids.note(ROOM, "own")
    await asyncio.sleep(100)
    assert voids.due((), always) == []


async def test_an_epoch_that_another_has_begun_resolves_what_nobody_living_is_responsible_for() -> None:
    voids = VoidRooms("own")
    for owner in ("own", "a", "b", NOBODY):
        voids.note(ROOM, owner)
    voids.resolved(ROOM, {"a"})
    assert voids.owners(ROOM) == ["own", "a"]


async def test_the_number_of_rooms_is_limited() -> None:
    voids = VoidRooms("own")
    for number in range(MAX_VOID + 1):
        voids.note(ToRoom("chat", str(number)), "a")
    assert len(voids) == MAX_VOID
    assert ToRoom("chat", "0") not in voids
    assert ToRoom("chat", "1") in voids
