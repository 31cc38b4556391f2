from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.client.admission import READY_TIMEOUT
from crosswire.errors import NotConnected, Refused
from crosswire.types import Close
from tests.support.loops import on_instant_loop
from tests.unit.client.fake_client import READY, FakeClient, settle

pytestmark = [on_instant_loop, pytest.mark.usefixtures("half_jitter")]

NEWS = '{"event":"news","payload":1}'


async def test_connect_waits_for_a_server_that_announces_admission() -> None:
    fake = FakeClient(announces=True, ping_interval=5, pong_timeout=1)
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    fake.last.open()
    fake.last.receive(NEWS)
    await asyncio.sleep(READY_TIMEOUT - 1)
    assert not connecting.done()
    assert fake.last.sent == []  # no heartbeat, which would not be answered yet
    fake.last.receive(READY)
    await connecting
    await asyncio.sleep(5)
    assert fake.last.sent == [""]
    await fake.client.close()


async def test_an_announced_admission_that_does_not_come_fails_the_attempt() -> None:
    fake = FakeClient(announces=True, retry_limit=1)
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    for _ in range(2):
        fake.last.open()
        await asyncio.sleep(READY_TIMEOUT + 3)
    with pytest.raises(NotConnected, match="gave up") as caught:
        await connecting
    assert caught.value.close is not None
    assert caught.value.close.code == 1006
    assert fake.told[:4] == [["dial"], ["open"], ["close", 1006, True], ["reconnect", 1, 1.5]]


async def test_ready_is_not_shown_to_the_application() -> None:
    fake = FakeClient(announces=True)
    raws: list[Any] = []
    fake.client.on_message(raws.append)
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    fake.last.open()
    fake.last.receive(READY)
    fake.last.receive(NEWS)
    await connecting
    assert raws == [NEWS]
    await fake.client.close()


async def test_a_connect_that_is_cancelled_before_admission_closes_the_connection() -> None:
    fake = FakeClient(announces=True)
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    fake.last.open()
    await settle()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert fake.told == [["dial"], ["open"], ["close", 4001, False]]
    with pytest.raises(NotConnected) as caught:
        fake.client.send("say")
    assert caught.value.close == Close(4001, "closed by the client")


async def test_a_refusal_fails_every_connect_and_every_call() -> None:
    fake = FakeClient(announces=True)
    connecting = [asyncio.create_task(fake.client.connect()) for _ in range(3)]
    await settle()
    fake.last.open()
    calling = asyncio.create_task(fake.client.call("say"))
    await settle()
    fake.last.end(Close(4011, "Auth failure"))
    for refusal in await asyncio.gather(*connecting, return_exceptions=True):
        assert isinstance(refusal, Refused)
        assert (refusal.code, refusal.reason, refusal.status) == (4011, "Auth failure", None)
        assert refusal.close == Close(4011, "Auth failure")
    with pytest.raises(NotConnected) as caught:
        await calling
    assert caught.value.close == Close(4011, "Auth failure")
    with pytest.raises(NotConnected, match="4011 Auth failure"):
        fake.client.send("say")


# What becomes of one attempt, and whether it was a good one. Time passes as the name says.
ATTEMPTS = {
    "fails": False,
    "accepts, closes": False,
    "accepts, is lost": False,
    "accepts, says something, closes": False,
    "lets in, closes": False,
    "lets in, closes after 4 s": False,
    "hangs for 4 s, closes": False,
    "lets in, says something, closes": True,
    "lets in, closes after 6 s": True,
}
CODES = [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4013]


async def attempt(fake: FakeClient, how: str, code: int) -> None:
    await settle()
    if how == "fails":
        fake.last.fail()
        return
    fake.last.open()
    if how.startswith("lets in"):
        fake.last.receive(READY)
    if "says something" in how:
        fake.last.receive(NEWS)
    for seconds in (4, 6):
        if f"{seconds} s" in how:
            await asyncio.sleep(seconds)
    fake.last.end(Close(1006 if "lost" in how else code))


@settings(max_examples=30)  # as in tests/unit/server/test_phases.py
@given(
    st.lists(st.tuples(st.sampled_from(sorted(ATTEMPTS)), st.sampled_from(CODES)), min_size=1, max_size=12),
    st.integers(0, 6),
)
async def test_attempts_count_until_a_connection_is_stable(schedule: list[tuple[str, int]], limit: int) -> None:
    """Compare with a model: delays double with each attempt in a row, and the limit ends them."""

    fake = FakeClient(announces=True, fast_retries=1, fast_interval=1, max_interval=16, retry_limit=limit)
    fake.client.reconnect(reset=True)
    await settle()
    count, told = 1, fake.told.copy()
    assert told == [["reconnect", 1, 0], ["dial"]]
    for how, code in schedule:
        fake.told.clear()
        await attempt(fake, how, code)
        await settle()
        count = 0 if ATTEMPTS[how] else count
        if count >= limit:
            assert fake.told[-1] == ["give up", limit]
            break
        count += 1
        delay = 0.5 * min(2 ** (count - 1), 16)
        assert fake.told[-1] == ["reconnect", count, delay]
        await asyncio.sleep(delay + 0.001)
    await fake.client.close()
