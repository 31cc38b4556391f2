"""What a message costs where many are under way, so that they are joined: beside what the model says of one alone."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from bench.scaling.model import Message
from bench.scaling.runs import Observed


class UnderLoad(NamedTuple):
    """What a message cost.

    Attributes:
        title: what was done.
        message: what it was.
        nodes: microseconds of all nodes for one message.
        redis: the same of Redis.
    """

    title: str
    message: Message
    nodes: float
    redis: float


def under_load_of(observed: Observed) -> UnderLoad:
    """Return the medians of runs with much to do."""
    ((_, message),) = observed.trial.loads
    runs = [run for (run,) in observed.runs]
    return UnderLoad(
        observed.trial.title, message, median(each.nodes for each in runs), median(each.redis for each in runs)
    )
