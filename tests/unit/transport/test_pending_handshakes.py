from __future__ import annotations

import asyncio

import pytest

from crosswire.transport.pending_handshakes import GRACE, AddressGuard, PendingHandshakes
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop


class FakeHandshake:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.unread = False

    def is_unread(self) -> bool:
        return self.unread

    def abort(self) -> None:
        self.calls.append("abort")

    def close(self) -> None:
        self.calls.append("close")


async def test_only_handshakes_that_take_too_long_are_aborted() -> None:
    handshakes, slow, quick, later = PendingHandshakes(0.05), FakeHandshake(), FakeHandshake(), FakeHandshake()
    handshakes.add(slow)
    handshakes.add(quick)
    handshakes.discard(quick)
    handshakes.discard(quick)
    await wait_until(lambda: slow.calls)
    handshakes.add(later)
    await wait_until(lambda: later.calls)
    assert (slow.calls, quick.calls, later.calls) == (["abort"], [], ["abort"])


async def test_no_handshake_is_aborted_early() -> None:
    loop, handshakes = asyncio.get_running_loop(), PendingHandshakes(0.1)
    first, second, third = FakeHandshake(), FakeHandshake(), FakeHandshake()
    handshakes.add(first)
    await wait_until(lambda: first.calls)
    began = loop.time()
    handshakes.add(second)
    handshakes.add(third)
    await wait_until(lambda: third.calls)
    assert loop.time() - began >= 0.09


@pytest.mark.parametrize("number", [0, 3])
async def test_all_are_closed_once(number: int) -> None:
    handshakes, pending = PendingHandshakes(0.01), [FakeHandshake() for _ in range(number)]
    for each in pending:
        handshakes.add(each)
    handshakes.close()
    handshakes.close()
    await asyncio.sleep(0.03)
    assert [each.calls for each in pending] == [["close"]] * number


@on_instant_loop
async def test_the_oldest_gives_way_once_it_has_had_its_time() -> None:
    full: list[int] = []
    reasons: list[str] = []
    handshakes = PendingHandshakes(10, 2, full=lambda: full.append(1), dropped=reasons.append)
    first, second, third, fourth = (FakeHandshake() for _ in range(4))
    assert handshakes.add(first)
    assert handshakes.has_room()
    await asyncio.sleep(GRACE - 0.05)
    assert handshakes.add(second)
    assert not handshakes.has_room()
    await asyncio.sleep(0.1)
    assert handshakes.has_room()
    assert handshakes.add(third)
    assert not handshakes.has_room()
    assert handshakes.add(fourth)  # it was accepted already, and nobody has had its time
    assert (first.calls, second.calls, full, reasons) == (["abort"], [], [1], ["gave way"])
    assert len(handshakes) == 3
    handshakes.close()


@on_instant_loop
async def test_as_many_give_way_as_were_accepted_beyond_the_limit() -> None:
    full: list[int] = []
    handshakes = PendingHandshakes(10, 2, full=lambda: full.append(1))
    crowd = [FakeHandshake() for _ in range(5)]
    for each in crowd:
        handshakes.add(each)
        await asyncio.sleep(0.1)
    assert full == [1, 1, 1]
    await asyncio.sleep(GRACE - 0.25)
    assert not handshakes.has_room()  # three of them have had their time
    await asyncio.sleep(0.1)
    assert handshakes.has_room()
    assert handshakes.add(FakeHandshake())
    assert [each.calls for each in crowd] == [["abort"]] * 4 + [[]]
    assert len(handshakes) == 2
    assert len(full) == 3
    handshakes.close()


@on_instant_loop
async def test_a_handshake_whose_bytes_wait_for_a_late_server_has_its_time_anew() -> None:
    handshakes, idle, sent, silent = PendingHandshakes(10), FakeHandshake(), FakeHandshake(), FakeHandshake()
    sent.unread = True
    for each in (idle, sent, silent):
        handshakes.add(each)
    await asyncio.sleep(10.5)
    assert (idle.calls, sent.calls, silent.calls) == (["abort"], [], ["abort"])
    sent.unread = False  # handled, and the rest does not come
    await asyncio.sleep(9)
    assert sent.calls == []
    await asyncio.sleep(1)
    assert sent.calls == ["abort"]


@on_instant_loop
async def test_a_handshake_whose_bytes_wait_for_a_late_server_does_not_give_way() -> None:
    full: list[int] = []
    handshakes = PendingHandshakes(10, 3, full=lambda: full.append(1))
    crowd = [FakeHandshake() for _ in range(3)]
    for each in crowd:
        handshakes.add(each)
    crowd[0].unread = crowd[2].unread = True
    await asyncio.sleep(GRACE + 0.1)
    assert handshakes.has_room()
    handshakes.add(FakeHandshake())
    assert ([each.calls for each in crowd], full) == ([[], ["abort"], []], [])
    handshakes.add(FakeHandshake())  # it was accepted already, and nobody may be dropped
    assert ([each.calls for each in crowd], full) == ([[], ["abort"], []], [1])
    assert not handshakes.has_room()
    handshakes.close()


async def test_an_address_has_a_number_of_pending_handshakes() -> None:
    reasons: list[str] = []
    handshakes = PendingHandshakes(10, guard=AddressGuard(2, None), dropped=reasons.append)
    some = [FakeHandshake() for _ in range(4)]
    assert [handshakes.add(each, "10.0.0.1") for each in some] == [True, True, False, False]
    assert handshakes.add(FakeHandshake(), "10.0.0.2")
    assert handshakes.add(FakeHandshake(), "")
    for each in some:
        handshakes.discard(each)
        handshakes.discard(each)
    assert handshakes.add(some[0], "10.0.0.1")
    assert reasons == ["address", "address"]
    handshakes.close()


@on_instant_loop
async def test_an_address_stays_counted_while_another_protocol_goes_on_with_its_connection() -> None:
    handshakes = PendingHandshakes(10, guard=AddressGuard(1, None))
    tls, request, other = FakeHandshake(), FakeHandshake(), FakeHandshake()
    assert handshakes.add(tls, "10.0.0.1")
    await asyncio.sleep(9)
    handshakes.pass_on(tls, request)
    assert (tls in handshakes, request in handshakes) == (False, True)
    assert not handshakes.add(other, "10.0.0.1")
    await asyncio.sleep(9)
    assert request.calls == []  # its time has begun anew
    handshakes.discard(request)
    assert handshakes.add(other, "10.0.0.1")
    handshakes.close()


async def test_an_address_connects_at_most_twice_as_fast_as_its_websockets() -> None:
    handshakes = PendingHandshakes(10, guard=AddressGuard(None, 1))
    admitted = [handshakes.add(FakeHandshake(), "10.0.0.1") for _ in range(30)]
    assert admitted == [True] * 20 + [False] * 10
    handshakes.close()
