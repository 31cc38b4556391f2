"""Measures what compressing and inflating one message costs and saves: `python -m bench.compression`.

A broadcast is compressed once for all recipients, whose number divides the cost. In a fan-out the whole is measured by
`python -m bench --only "fan-out of 8"`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import thread_time

import msgspec

from bench.servers.chat_page import EARLIER_MESSAGES
from crosswire.core.deflate import compress, decompress

REPEATS = 30
SIZES = (256, 512, 1024, 2048, 8192, 32 * 1024, 256 * 1024, 1024 * 1024)
"""Bytes of the messages; the first is the smallest that is compressed."""


def page(size: int) -> bytes:
    """Return about `size` bytes of a chat, as JSON."""
    lines = [
        {**line, "id": f"{line['id']}{turn * 7919:04x}", "at": line["at"] + 1013 * turn}
        for turn in range(size // 7000 + 1)
        for line in EARLIER_MESSAGES
    ]
    text = msgspec.json.encode({"event": "news", "payload": {"messages": lines}})
    return text[:size]


def cost(work: Callable[[], object]) -> float:
    """Return the CPU time of a call, in microseconds, the best of many."""
    best = float("inf")
    for _ in range(REPEATS):
        began = thread_time()
        work()
        best = min(best, thread_time() - began)
    return best * 1e6


def main() -> int:
    """Print the table."""
    print("| message | compressed | share | compressing | inflating | for each of 1,000 recipients |")
    print("|---:|---:|---:|---:|---:|---:|")
    for size in SIZES:
        payload = page(size)
        packed = compress(payload)
        once, back = cost(lambda: compress(payload)), cost(lambda: decompress(packed, size))  # noqa: B023
        share = len(packed) / len(payload)
        print(f"| {size:,} | {len(packed):,} | {share:.0%} | {once:,.0f} µs | {back:,.0f} µs | {once / 1000:.2f} µs |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
