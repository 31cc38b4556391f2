from __future__ import annotations

import asyncio

from crosswire.cluster.history.held_copies import MAX_HELD_BYTES, Copy, HeldCopies
from crosswire.core.envelopes import LogPlace
from crosswire.core.formats import EncodedMessage
from crosswire.core.targets import ToRoom
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

ROOM = ToRoom("chat", "1")


async def test_a_copy_is_looked_at_when_its_time_has_come() -> None:
    looked_at: list[Copy] = []
    copies = HeldCopies(lambda: 2.0, looked_at.append)
    copies.hold(ROOM, EncodedMessage(b"{}"), None, LogPlace(b"sender..", 1))
    await asyncio.sleep(1)
    copies.hold(ROOM, EncodedMessage(b"{}"), None, LogPlace(b"sender..", 2))
    assert looked_at == []
    await asyncio.sleep(1.5)
    assert [copy.place.number for copy in looked_at] == [1]
    await asyncio.sleep(1)
    assert [copy.place.number for copy in looked_at] == [1, 2]
    assert len(copies) == 0


async def test_copies_that_are_too_many_are_looked_at_earlier() -> None:
    looked_at: list[Copy] = []
    copies = HeldCopies(lambda: 2.0, looked_at.append)
    large = EncodedMessage(b"x" * (MAX_HELD_BYTES // 2))
    for number in range(3):
        copies.hold(ROOM, large, None, LogPlace(b"sender..", number))
    assert [copy.place.number for copy in looked_at] == [0, 1]
    copies.close()
    await asyncio.sleep(3)
    assert len(looked_at) == 2
