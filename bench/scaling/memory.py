"""The memory of a node: with no connection, and what an idle one adds."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from bench.native import run_loadgen
from bench.scaling.processes import memory_of
from bench.scaling.runs import cluster

CLIENTS = 2000
"""Connections that are opened, each in a room."""


class Memory(NamedTuple):
    """Bytes of a node that nobody is connected to, and of each idle connection in a room."""

    node: float
    connection: float


def measure_memory(runs: int) -> Memory:
    """Measure a node of a cluster, each time a new one."""
    found = [_measure() for _ in range(runs)]
    return Memory(*(median(each) for each in zip(*found, strict=True)))


def _measure() -> Memory:
    with cluster(1) as running:
        node = memory_of(running.serving.pids[1])
        only_node = running.serving._replace(pids=running.serving.pids[1:])
        return Memory(node, run_loadgen("idle", only_node, clients=CLIENTS)["bytes_per_client"])
