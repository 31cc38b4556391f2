"""Whether what may have been missed on one Redis came over another, where each message is published on two."""

from __future__ import annotations

from collections.abc import Iterable

from crosswire.cluster.redis.endpoint import Endpoint

_UNUSED = 5.0
"""Seconds after which every node knows that a Redis was lost or is back, and publishes accordingly."""


def was_covered(endpoint: Endpoint, every: Iterable[Endpoint]) -> bool:
    """Whether all that went over a Redis, while it was lost, came over another one too."""
    if endpoint.lost_at is None:
        return False
    others = [each for each in every if each is not endpoint]
    whole = [each for each in others if _heard_all_since(each, endpoint.lost_at)]
    return bool(whole) and not any(
        each.lost_at is not None and each.lost_at > endpoint.lost_at - _UNUSED for each in others if each not in whole
    )


def _heard_all_since(endpoint: Endpoint, moment: float) -> bool:
    """Whether all that is published on two Redis comes over this one too, if it is one of them."""
    if endpoint.listens_since is None:
        return False
    # When this node has it back, others may still publish on its only companion.
    return endpoint.listens_since <= moment - (0 if endpoint.lost_at is None else _UNUSED)
