"""Works that peers are compared at: what the load generator does, and what a peer has to be able to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

FANOUT, CALLS, CONNECT, ROOM = "fanout", "calls", "connect", "room"
TELL, ASK, SPREAD = "tell", "ask", "spread"
"""Abilities: a message to a user of another node, a call answered by one, a fan-out over nodes."""
SAY_IN_ROOM, TLS, DEFLATE, SEVERAL_REDIS = "say in room", "TLS", "permessage-deflate", "several Redis"
"""Abilities: a message to a room, and what an option of the adapter switches on."""
CROSSWIRE_OPTION = "option of Crosswire"
"""Ability of Crosswire, with one of its options or without: what they cost is measured apart."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Servers that a peer starts for a work.

    Attributes:
        nodes: servers, which share what is said if there are several.
        redis: independent Redis processes that connect them.
        tls: whether they listen with TLS.
        compression: whether they grant permessage-deflate.
    """

    nodes: int = 1
    redis: int = 0
    tls: bool = False
    compression: bool = False


@dataclass(frozen=True, slots=True)
class PeerWork:
    """Work of the load generator that peers are compared at.

    Attributes:
        id: short name, for targets and JSON.
        title: description, for tables.
        mode: mode of the load generator.
        options: options of the load generator.
        unit: what the figure counts, and of what: "µs for a delivery".
        figure: name of the figure that peers are compared by.
        needs: abilities without which a peer cannot do it.
        setup: servers that a peer starts.
        ports: number of the servers' ports that clients connect to, the first ones; None for all.
        more_is_better: whether the peer with the largest figure is the best.
        among: names of the peers that are compared, where others would take too long; empty for all.
    """

    id: str
    title: str
    mode: str
    options: Mapping[str, object]
    unit: str
    figure: str
    needs: frozenset[str]
    setup: Setup = field(default_factory=Setup)
    ports: int | None = None
    more_is_better: bool = False
    among: frozenset[str] = frozenset()

    def variant(self, id: str, title: str, options: Mapping[str, object] | None = None, **changes: Any) -> PeerWork:
        """Return a work that differs from this one in some options of the load generator, and in some attributes."""
        return replace(self, id=id, title=title, options={**self.options, **(options or {})}, **changes)


TWO_NODES = Setup(nodes=2, redis=1)
QUICK_TO_OPEN = frozenset({"crosswire", "c", "bun", "ws", "original", "socket.io"})
"""Peers that accept 10,000 clients in a few seconds."""
LIGHT_NODES = frozenset({"crosswire", "original", "socket.io"})
"""Peers of which one core can run eight nodes at once."""
SECURE = Setup(tls=True)
COMPRESSED = Setup(compression=True)
DELIVERY, ANSWER, MESSAGE = "µs for a delivery", "µs for an answer", "µs for a message"

# One write a call or message, as from clients that have nothing to do with each other.
FANOUT_1000 = PeerWork(
    "fanout-1000",
    "fan-out to 1,000 clients, 8 messages in flight",
    "fanout",
    {"clients": 1000, "inflight": 8},
    DELIVERY,
    "cpu_us",
    frozenset({FANOUT}),
)
CALLS_8 = PeerWork(
    "calls-8",
    "calls, 100 clients, 8 in flight each",
    "calls",
    {"clients": 100, "inflight": 8, "batch": 0},
    ANSWER,
    "cpu_us",
    frozenset({CALLS}),
)
CONNECTS = PeerWork(
    "connects",
    "connect 5,000 clients",
    "connect",
    {"clients": 5000},
    "connections a second",
    "per_second",
    frozenset({CONNECT}),
    more_is_better=True,
)
IDLE = PeerWork(
    "idle",
    "memory of an idle connection in a room",
    "idle",
    {"clients": 2000},
    "bytes for a connection",
    "bytes_per_client",
    frozenset({ROOM}),
)
ROOMS_64 = PeerWork(
    "rooms-64",
    "10,000 clients in rooms of 10, 64 rooms with a message in flight",
    "rooms",
    {"clients": 10_000, "members": 10, "inflight": 64},
    DELIVERY,
    "cpu_us",
    frozenset({ROOM, SAY_IN_ROOM}),
    among=QUICK_TO_OPEN,
)
NODES_TELL = PeerWork(
    "nodes-tell",
    "two nodes and Redis: user to user, 100 pairs, 4 in flight each",
    "tell",
    {"each": 100, "senders": 1, "inflight": 4, "batch": 0},
    MESSAGE,
    "cpu_us",
    frozenset({TELL}),
    TWO_NODES,
)
NODES_ASK = PeerWork(
    "nodes-ask",
    "two nodes and Redis: a client's call answered by another node, 100 clients, 4 in flight each",
    "calls",
    {"clients": 100, "inflight": 4, "batch": 0, "event": "ask", "payload": "[1,2,3]"},
    ANSWER,
    "cpu_us",
    frozenset({ASK}),
    TWO_NODES,
    ports=1,
)
NODES_FANOUT = PeerWork(
    "nodes-fanout",
    "two nodes and Redis: fan-out to 1,000 clients, 8 messages in flight",
    "fanout",
    {"each": 500, "inflight": 8},
    DELIVERY,
    "cpu_us",
    frozenset({SPREAD}),
    TWO_NODES,
)
HISTORY_FANOUT = PeerWork(
    "history-fanout",
    "with history and without, two nodes: a room of 1,000 clients, 8 messages in flight",
    "room",
    {"each": 500, "inflight": 8},
    DELIVERY,
    "cpu_us",
    frozenset({CROSSWIRE_OPTION}),
    TWO_NODES,
    among=frozenset({"crosswire", "crosswire-history"}),
)
HISTORY_RECOVERY = PeerWork(
    "history-recovery",
    "with history, two nodes: 1,000 clients come back, and each gets 100 messages it missed",
    "recovery",
    {"clients": 1000, "missed": 100, "path": "/?id=%d&_cw=2"},
    "seconds until all have everything",
    "seconds",
    frozenset({CROSSWIRE_OPTION}),
    TWO_NODES,
    among=frozenset({"crosswire-history"}),
)


def _of_option(work: PeerWork, option: str, id: str, title: str) -> PeerWork:
    """Return a work that shows what an option of Crosswire costs, with it and without."""
    both = frozenset({"crosswire", f"crosswire-{option}"})
    return work.variant(id, title, needs=frozenset({CROSSWIRE_OPTION}), among=both)


WORKS = [
    FANOUT_1000,
    FANOUT_1000.variant("fanout-100", "fan-out to 100 clients, 1 in flight", {"clients": 100, "inflight": 1}),
    CALLS_8,
    CALLS_8.variant("calls-1", "calls, 100 clients, 1 in flight each", {"inflight": 1}),
    CONNECTS,
    IDLE,
    NODES_TELL,
    NODES_ASK,
    NODES_FANOUT,
    FANOUT_1000.variant("fanout-10", "fan-out to 10 clients, 8 messages in flight", {"clients": 10}),
    FANOUT_1000.variant(
        "fanout-10000",
        "fan-out to 10,000 clients, 8 messages in flight",
        {"clients": 10_000},
        among=QUICK_TO_OPEN,
    ),
    FANOUT_1000.variant("fanout-64b", "fan-out of 64 bytes to 1,000 clients, 8 messages in flight", {"size": 64}),
    FANOUT_1000.variant("fanout-4k", "fan-out of 4 KiB to 1,000 clients, 8 messages in flight", {"size": 4096}),
    FANOUT_1000.variant(
        "deflate-4k",
        "permessage-deflate: fan-out of 4 KiB to 1,000 clients, 8 messages in flight",
        {"size": 4096, "extensions": "permessage-deflate", "compressed": 1},
        needs=frozenset({FANOUT, DEFLATE}),
        setup=COMPRESSED,
    ),
    ROOMS_64,
    ROOMS_64.variant(
        "rooms-all",
        "10,000 clients in rooms of 10, each of the 1,000 rooms with a message in flight",
        {"inflight": 1000},
    ),
    FANOUT_1000.variant(
        "tls-fanout",
        "TLS: fan-out to 1,000 clients, 8 messages in flight",
        {"tls": 1},
        needs=frozenset({FANOUT, TLS}),
        setup=SECURE,
    ),
    CALLS_8.variant(
        "tls-calls",
        "TLS: calls, 100 clients, 8 in flight each",
        {"tls": 1},
        needs=frozenset({CALLS, TLS}),
        setup=SECURE,
    ),
    CONNECTS.variant(
        "tls-connects",
        "TLS: connect 1,000 clients",
        {"clients": 1000, "tls": 1},
        needs=frozenset({CONNECT, TLS}),
        setup=SECURE,
    ),
    *(
        NODES_FANOUT.variant(
            f"nodes-{count}-fanout",
            f"{count} nodes and Redis: fan-out to 500 clients of each, 8 messages in flight",
            setup=Setup(nodes=count, redis=1),
            among=LIGHT_NODES,
        )
        for count in (4, 8)
    ),
    *(
        PeerWork(
            f"nodes-{count}-tell",
            f"{count} nodes and Redis: user to user, 100 clients of each, 4 in flight for each pair",
            "tell",
            {"each": 100, "inflight": 4, "batch": 0},
            MESSAGE,
            "cpu_us",
            frozenset({TELL}),
            Setup(nodes=count, redis=1),
            among=LIGHT_NODES,
        )
        for count in (4, 8)
    ),
    NODES_FANOUT.variant(
        "redis-2-fanout",
        "two nodes and two Redis: fan-out to 1,000 clients, 8 messages in flight",
        needs=frozenset({SPREAD, SEVERAL_REDIS}),
        setup=Setup(nodes=2, redis=2),
    ),
    NODES_TELL.variant(
        "redis-2-tell",
        "two nodes and two Redis: user to user, 100 pairs, 4 in flight each",
        needs=frozenset({TELL, SEVERAL_REDIS}),
        setup=Setup(nodes=2, redis=2),
    ),
    _of_option(
        FANOUT_1000,
        "metrics",
        "metrics-fanout",
        "with metrics and without: fan-out to 1,000 clients, 8 messages in flight",
    ),
    _of_option(
        NODES_TELL,
        "secret",
        "secret-tell",
        "with a secret and without, two nodes: user to user, 100 pairs, 4 in flight each",
    ),
    HISTORY_FANOUT,
    HISTORY_FANOUT.variant(
        "history-line",
        "with history and without, two nodes: a room of 4 clients, 1 message in flight",
        {"each": 2, "inflight": 1},
    ),
    HISTORY_RECOVERY,
    _of_option(
        FANOUT_1000,
        "asgi",
        "asgi-fanout",
        "with its own listener and on uvicorn: fan-out to 1,000 clients, 8 messages in flight",
    ),
]
"""Works in the order of the table."""
