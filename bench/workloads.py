"""The workloads that are measured, and the formats of their figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Figures = Mapping[str, float]


def rate(figures: Figures) -> str:
    """Format the number per second, and the server's CPU time for one."""
    return f"{figures['per_second'] / 1000:,.0f} k/s, {figures['cpu_us']:.2f} µs"


def cpu(figures: Figures) -> str:
    """Format the CPU time of all processes of the server side for one."""
    return f"{figures['cpu_us']:.2f} µs"


def cpu_and_size(figures: Figures) -> str:
    """Format the CPU time for one delivery, and its size on the network."""
    return f"{figures['cpu_us']:.2f} µs, {figures['bytes']:,.0f} bytes"


def duration(figures: Figures) -> str:
    """Format the duration, and the server's CPU time for one connection."""
    return f"{figures['seconds']:.2f} s, {figures['cpu_us']:.0f} µs"


def memory(figures: Figures) -> str:
    """Format the memory of one connection."""
    return f"{figures['bytes_per_client'] / 1024:.1f} KiB"


CROSSWIRE, BARE = "Crosswire", "bare epoll loop"
WITH_METRICS = "with metrics"
WITH_COMPRESSION = "with compression"
TWO_NODES, EIGHT_NODES, SIGNED_NODES = "2 nodes", "8 nodes", "2 nodes, secret"
KEPT_ROOMS = "2 nodes, history"
ONE_PORT, UVICORN = "Crosswire and an application on its port", "uvicorn alone"

ASGI, STARLETTE = "Crosswire as an ASGI application on uvicorn", "a Starlette room on uvicorn"


TIMED_MODES = ("fanout", "room", "rooms", "calls", "tell", "http")
"""Modes of the load generator that have a duration, rather than an amount of work."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload, one row of the table.

    Attributes:
        title: description, for the table.
        mode: mode of the load generator.
        options: options of the load generator.
        show: formats the figures of a run.
        figure: name of the figure that is compared.
        more_is_better: whether the run with the largest figure is the best.
        servers: servers that are measured in alternation; the first one is compared with the second.
        ports: number of the servers' ports that clients connect to, the first ones; None for all.
        original: figure of the original in the design notes, measured by their author on another run.
        target: budget of the project that the measured figure has to meet.
    """

    title: str
    mode: str
    options: Mapping[str, object] = field(default_factory=dict)
    show: Callable[[Figures], str] = rate
    figure: str = "per_second"
    more_is_better: bool = True
    servers: tuple[str, ...] = (CROSSWIRE, BARE)
    ports: int | None = None
    original: str = "—"
    target: str = "—"

    def best(self, runs: list[Figures]) -> Figures:
        """Return the best of several runs."""
        choose = max if self.more_is_better else min
        return choose(runs, key=lambda figures: figures[self.figure])

    def timed(self, seconds: float) -> dict[str, object]:
        """Return the options of a run; it measures for so many seconds, if the mode has a duration."""
        return {**self.options, **({"seconds": seconds, "warmup": min(1.0, seconds / 2)} if self.is_timed else {})}

    @property
    def is_timed(self) -> bool:
        """Whether the mode has a duration, rather than an amount of work."""
        return self.mode in TIMED_MODES


# The figures in `original` are those of the design notes, measured by their author. There, a call cost the bare loop
# 5.6 µs, as it does with one write for each call; so they are in the rows for one write a call.
WORKLOADS = [
    Workload(
        "fan-out to 1,000 clients, 8 messages in flight",
        "fanout",
        {"clients": 1000, "inflight": 8},
        original="88 k/s, 11.8 µs",
        target="400 k/s, ratio 0.8",
    ),
    Workload(
        "fan-out to 100 clients, one in flight",
        "fanout",
        {"clients": 100, "inflight": 1},
        original="104 k/s",
    ),
    Workload(
        "fan-out to 1,000 clients, 8 in flight, with metrics and without: CPU for one delivery",
        "fanout",
        {"clients": 1000, "inflight": 8},
        cpu,
        "cpu_us",
        more_is_better=False,
        servers=(WITH_METRICS, CROSSWIRE),
        target="ratio 1.05",
    ),
    Workload(
        "fan-out of 8 KiB to 100 clients, compressed and not: CPU for one delivery, and its size",
        "fanout",
        {"clients": 100, "inflight": 8, "event": "publish_page", "extensions": "permessage-deflate"},
        cpu_and_size,
        "cpu_us",
        more_is_better=False,
        servers=(WITH_COMPRESSION, CROSSWIRE),
    ),
    Workload(
        "calls, 100 clients, 8 in flight each, one write a call",
        "calls",
        {"clients": 100, "inflight": 8, "batch": 0},
        original="60 k/s, 14.4 µs",
        target="120 k/s",
    ),
    Workload(
        "the same, the handler a coroutine", "calls", {"clients": 100, "inflight": 8, "batch": 0, "event": "say_async"}
    ),
    Workload("calls, 100 clients, 8 in flight each, in one write", "calls", {"clients": 100, "inflight": 8}),
    Workload("the same, the handler a coroutine", "calls", {"clients": 100, "inflight": 8, "event": "say_async"}),
    Workload(
        "connect 9,000 clients", "connect", {"clients": 9000}, duration, "seconds", more_is_better=False, target="2 s"
    ),
    Workload(
        "memory of an idle connection in a room",
        "idle",
        {"clients": 2000},
        memory,
        "bytes_per_client",
        more_is_better=False,
        servers=(CROSSWIRE,),
        target="12 KiB",
    ),
    Workload(
        "two nodes and Redis: fan-out to 1,000 clients, 8 in flight",
        "fanout",
        {"each": 500, "inflight": 8},
        servers=(TWO_NODES,),
        original="77 k/s",
        target="350 k/s",
    ),
    Workload(
        "two nodes and Redis: user to user, one write a message",
        "tell",
        {"each": 100, "senders": 1, "inflight": 8, "batch": 0},
        servers=(TWO_NODES,),
        original="20 k/s",
        target="70 k/s",
    ),
    Workload(
        "two nodes and Redis: a client's call answered by another node, one write a call",
        "calls",
        {"clients": 100, "inflight": 8, "batch": 0, "event": "ask", "payload": "[1,2,3]"},
        servers=(TWO_NODES,),
        ports=1,
        original="7 k/s",
        target="60 k/s",
    ),
    Workload(
        "with a secret, and without: user to user, one write a message",
        "tell",
        {"each": 100, "senders": 1, "inflight": 8, "batch": 0},
        servers=(SIGNED_NODES, TWO_NODES),
        target="ratio 0.75",
    ),
    Workload(
        "with a secret, and without: fan-out to 1,000 clients of two nodes, 8 in flight",
        "fanout",
        {"each": 500, "inflight": 8},
        servers=(SIGNED_NODES, TWO_NODES),
        target="ratio 0.95",
    ),
    Workload(
        "user to user with 8 nodes, and with 2: CPU of all processes for one message",
        "tell",
        {"each": 100, "inflight": 8, "batch": 0},
        cpu,
        "cpu_us",
        more_is_better=False,
        servers=(EIGHT_NODES, TWO_NODES),
        target="ratio 1.15",
    ),
    Workload(
        "rooms that keep history, and others: fan-out to 1,000 clients of two nodes, 8 in flight: CPU for one delivery",
        "room",
        {"each": 500, "inflight": 8},
        cpu,
        "cpu_us",
        more_is_better=False,
        servers=(KEPT_ROOMS, TWO_NODES),
        target="ratio 1.10",
    ),
    Workload(
        "rooms that keep history, and others: one sender to 4 clients of two nodes, 1 in flight: CPU for one delivery",
        "room",
        {"each": 2, "inflight": 1},
        cpu,
        "cpu_us",
        more_is_better=False,
        servers=(KEPT_ROOMS, TWO_NODES),
        target="ratio 1.6",
    ),
    Workload(
        "rooms that keep history: 1,000 clients come back to one of two nodes, and each gets 100 messages it missed",
        "recovery",
        {"clients": 1000, "missed": 100, "path": "/?id=%d&_cw=2"},
        duration,
        "seconds",
        more_is_better=False,
        servers=(KEPT_ROOMS,),
        target="1 s",
    ),
    Workload(
        "with an application on the port, and without: fan-out to 1,000 clients, 8 in flight",
        "fanout",
        {"clients": 1000, "inflight": 8},
        servers=(ONE_PORT, CROSSWIRE),
        target="ratio 0.97",
    ),
    Workload(
        "with an application on the port, and without: calls, 100 clients, 8 in flight each, in one write",
        "calls",
        {"clients": 100, "inflight": 8},
        servers=(ONE_PORT, CROSSWIRE),
        target="ratio 0.97",
    ),
    Workload(
        "an ASGI application on uvicorn, and a room of Starlette there: fan-out to 1,000 clients, 8 in flight",
        "fanout",
        {"clients": 1000, "inflight": 8},
        servers=(ASGI, STARLETTE),
        target="2 times the deliveries a CPU second: CPU 0.5",
    ),
    Workload(
        "Crosswire and an application on its port, and a room of Starlette on uvicorn: the same",
        "fanout",
        {"clients": 1000, "inflight": 8},
        servers=(ONE_PORT, STARLETTE),
        target="4 times the deliveries a CPU second: CPU 0.25",
    ),
    Workload(
        "HTTP requests to an application on the port, and to uvicorn alone: 100 connections, one in flight each",
        "http",
        {"clients": 100, "inflight": 1, "path": "/"},
        servers=(ONE_PORT, UVICORN),
        target="ratio 0.9",
    ),
]
