from __future__ import annotations

from time import monotonic, time

from crosswire.cluster.gaps import GapReports
from crosswire.types import GapInfo
from tests.support.aio import wait_until


async def test_messages_missed_on_many_channels_are_reported_at_once_and_then_together() -> None:
    reported: list[GapInfo] = []
    gaps = GapReports(reported.append, interval=0.02)
    now, real = monotonic(), time()
    for channel, since in ((b"a", now - 5), (b"b", now - 9), (b"c", now - 7)):
        gaps.note([channel], since)
    assert len(reported) == 1
    await wait_until(lambda: len(reported) == 2)
    assert [round(real - gap.since) for gap in reported] == [5, 9]
    assert [gap.channel for gap in reported] == ["a", None]
    gaps.note([b"\xff"], now)
    await wait_until(lambda: len(reported) == 3)
    assert reported[-1].channel == "\\xff"
    gaps.stop()


async def test_several_channels_at_once_are_one_gap_that_names_none() -> None:
    reported: list[GapInfo] = []
    gaps = GapReports(reported.append)
    gaps.note([b"a", b"b"], monotonic())
    assert [gap.channel for gap in reported] == [None]
    gaps.stop()
