"""A page of a chat, some 8 KiB as JSON, to be sent as it is or compressed."""

from __future__ import annotations

from typing import Any

WORDS = (
    "we",
    "they",
    "people",
    "time",
    "year",
    "day",
    "thing",
    "world",
    "life",
    "hand",
    "part",
    "child",
    "work",
    "week",
)
EARLIER_MESSAGES: list[dict[str, Any]] = [
    {
        "id": f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}",
        "user": f"user-{number * 37 % 101}",
        "text": " ".join(WORDS[number * step % len(WORDS)] for step in range(1, 14)),
        "at": 1_700_000_000 + number * 17,
    }
    for number in range(1, 57)
]
"""Lines of a chat as they are written: ids that are random, names that come again, words."""
