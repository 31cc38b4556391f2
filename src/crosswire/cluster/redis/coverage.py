"""Finding out, with redundant delivery, whether messages that one Redis did not deliver came over another."""

from __future__ import annotations

from collections.abc import Iterable

from crosswire.cluster.redis.endpoint import Endpoint

_SPREAD_TIME = 5.0
"""Seconds in which all nodes notice that a Redis was lost or is back, and choose the Redis for messages anew."""


def was_covered(endpoint: Endpoint, every: Iterable[Endpoint]) -> bool:
    """Return whether this node has received all messages that were published on ``endpoint`` while it was lost.

    That is so if another Redis delivered its messages all the time, and no third one was lost shortly before: both
    copies of a message may have been published on the two that were lost.
    """
    if endpoint.lost_at is None:
        return False
    others = [each for each in every if each is not endpoint]
    whole = [each for each in others if _heard_all_since(each, endpoint.lost_at)]
    return bool(whole) and not any(
        each.lost_at is not None and each.lost_at > endpoint.lost_at - _SPREAD_TIME
        for each in others
        if each not in whole
    )


def _heard_all_since(endpoint: Endpoint, moment: float) -> bool:
    """Return whether a Redis has delivered, since ``moment``, a copy of each message."""
    if endpoint.listens_since is None:
        return False
    # For a while after a Redis is back, other nodes may still publish without it.
    return endpoint.listens_since <= moment - (0 if endpoint.lost_at is None else _SPREAD_TIME)
