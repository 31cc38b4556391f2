"""All that was measured, and the model that was fitted to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.scaling.beats import Beats
from bench.scaling.calibration import RedisCosts
from bench.scaling.comparison import Compared
from bench.scaling.memory import Memory
from bench.scaling.model import Costs, Shares
from bench.scaling.under_load import UnderLoad


@dataclass(frozen=True, slots=True)
class Figures:
    """What is printed, and written on the page.

    Attributes:
        date: of the measurement.
        machine: what was found out about it, with versions.
        redis: costs of a Redis alone, by its name and version.
        costs: the parameters of the model.
        compared: runs beside the model.
        idle: what clusters use while nothing is said, by the number of their nodes.
        under_load: runs with many messages under way.
        beats: many nodes in one process.
        memory: of a node and of a connection.
    """

    date: str
    machine: Mapping[str, str]
    redis: Mapping[str, RedisCosts]
    costs: Costs
    compared: Sequence[Compared]
    idle: Mapping[int, Shares]
    under_load: Sequence[UnderLoad]
    beats: Sequence[Beats]
    memory: Memory

    @property
    def main_redis(self) -> RedisCosts:
        """The costs of the Redis that the projections are made with: the first that was measured."""
        return next(iter(self.redis.values()))

    @property
    def main_redis_name(self) -> str:
        """The name and version of that Redis."""
        return next(iter(self.redis))

    def raw(self) -> dict[str, object]:
        """Return everything, for JSON."""
        return asdict(self)
