"""Whether other processes had the cores of a run for too long."""

from __future__ import annotations

from collections.abc import Mapping

MAX_OF_SERVER = 0.05
"""Share of the servers' core that others may have; on a machine that does nothing else it is below 3%."""
MAX_OF_GENERATOR = 0.2
"""Share of the load generator's core that others may have: what the kernel does there for sockets is among it, and
is up to 17% on a machine that does nothing else."""


def is_disturbed(figures: Mapping[str, float]) -> bool:
    """Return whether a run was disturbed, by the figures of the load generator."""
    return figures.get("server_others", 0.0) > MAX_OF_SERVER or figures.get("generator_others", 0.0) > MAX_OF_GENERATOR
