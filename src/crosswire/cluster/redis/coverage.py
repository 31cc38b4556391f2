"""Deciding whether messages missed on one Redis came over another, with redundant delivery."""

from __future__ import annotations

from collections.abc import Iterable

from crosswire.cluster.redis.endpoint import Endpoint

_SPREAD_TIME = 5.0
"""Seconds after which every node knows that a Redis was lost or is back, and publishes accordingly."""


def was_covered(endpoint: Endpoint, every: Iterable[Endpoint]) -> bool:
    """Return whether all messages that a Redis got while it was lost came over another one too."""
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
    """Return whether this Redis has delivered all its messages since a moment, also those of the lost one."""
    if endpoint.listens_since is None:
        return False
    # After this node has connected to it again, others may still publish on the lost one only.
    return endpoint.listens_since <= moment - (0 if endpoint.lost_at is None else _SPREAD_TIME)
