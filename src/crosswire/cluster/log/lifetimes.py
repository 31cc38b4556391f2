"""Lifetimes of logs, their messages and ids."""

from __future__ import annotations

ID_LIFE = 120_000
"""Milliseconds for which a second message with the id of a first one is not kept."""
IDLE_LIFE = 120_000
"""Milliseconds that a log exists longer than its messages: positions stay good, and messages sent again are known."""
_UPKEEPS = 8
"""Number of times that a log is tended within the time to live of its messages, as long as there are new ones."""


def milliseconds(ttl: float) -> int:
    """Return the time to live of messages in milliseconds, 1 at least."""
    return max(1, round(ttl * 1000))


def upkeep_interval(ttl: int) -> int:
    """Return the milliseconds between two times that a busy log trims old messages and puts off its own end."""
    return ttl // _UPKEEPS


def messages_life(ttl: int) -> int:
    """Return the milliseconds after which messages that nobody reads or adds to are gone, from the last upkeep on."""
    return ttl + upkeep_interval(ttl) + 1


def log_life(ttl: int) -> int:
    """Return the milliseconds after which a log that nobody uses is gone, from the last upkeep on."""
    return messages_life(ttl) + IDLE_LIFE
