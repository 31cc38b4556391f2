from __future__ import annotations

import gc

from crosswire.cluster.streams import PendingStream, ReplyStream
from crosswire.types import Reply


async def test_a_stream_gives_what_came_before_it_ended() -> None:
    forgotten: list[int] = []
    pending = PendingStream("abc", None)
    stream = ReplyStream(pending, lambda: forgotten.append(1))
    pending.reply("a", 1, None)
    pending.reply("b", 2, None)
    pending.end()
    pending.reply("c", 3, None)
    assert [reply async for reply in stream] == [Reply("a", 1), Reply("b", 2)]
    assert stream.missing == ("c",)
    assert forgotten


async def test_a_stream_that_nobody_reads_any_more_is_forgotten() -> None:
    forgotten: list[int] = []
    stream = ReplyStream(PendingStream("abc", None), lambda: forgotten.append(1))
    del stream
    gc.collect()
    assert forgotten
