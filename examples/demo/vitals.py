"""The state of the cluster as one node sees it, for its clients: the nodes, the Redis, and their health."""

from __future__ import annotations

import os
import time
from collections.abc import Container
from typing import Any
from urllib.parse import urlsplit

import msgspec

from crosswire import EventError, LinkStatus, NodeInfo, Server, Socket

OWN_MACHINE = ("127.0.0.1", "::1", "localhost")
LAUNCHER = "launcher"
"""Name of the member that starts the nodes; it has no clients."""


class Up(msgspec.Struct):
    """Announcement of a node that clients can connect to it."""

    port: int
    pid: int


class Victim(msgspec.Struct):
    """Name of a node or a Redis to kill."""

    name: str


class Vitals:
    """State of the other nodes and of the Redis, as one node knows it.

    Args:
        server: server of this node, not yet started.
        killable: names of the nodes and the Redis that clients may kill.
    """

    def __init__(self, server: Server, killable: Container[str]) -> None:
        self._server = server
        self._cluster = cluster = server.cluster
        self._killable = killable
        self._up: dict[str, Up] = {}

        server.on("vitals", self.now)
        server.on("kill", self._kill)
        server.on_start(self._meet)
        server.on_listening(self._announce)
        cluster.on("where", self._where)
        cluster.on("up", self._is_up)

    def now(self) -> dict[str, Any]:
        """Return the state of the cluster."""
        alive = self._cluster.nodes
        nodes = [(alive[name], up) for name, up in sorted(self._up.items()) if name in alive]
        redis = enumerate(self._cluster.redis.status(), 1)
        return {
            "node": self._server.name,
            "nodes": [self._node(info, up) for info, up in nodes],
            "redis": [self._redis(f"redis-{number}", status) for number, status in redis],
        }

    def _node(self, info: NodeInfo, up: Up) -> dict[str, Any]:
        return {
            "name": info.name,
            "port": up.port,
            "pid": up.pid,
            "clients": info.connections,
            "seconds": round(time.time() - info.since),
            "killable": info.name in self._killable,
        }

    def _redis(self, name: str, status: LinkStatus) -> dict[str, Any]:
        return {
            "name": name,
            "url": status.url,
            "healthy": status.healthy,
            "latency": status.latency,
            "killable": name in self._killable,
        }

    def _tell(self) -> None:
        self._server.everyone.send("vitals", self.now(), local=True)

    def _kill(self, socket: Socket, victim: Victim) -> None:
        """Let the launcher kill a node or a Redis."""
        # Browsers send the origin of a page. A page of another site must not kill anything through its visitor.
        origin = socket.handshake.headers.get("origin")
        if victim.name not in self._killable or not (origin is None or urlsplit(origin).hostname in OWN_MACHINE):
            raise EventError("NOT_ALLOWED", f"{victim.name} is not for visitors to kill")
        if not any(redis.healthy for redis in self._cluster.redis.status()):
            raise EventError("NO_REDIS", "no Redis is left to ask through")
        self._cluster.send("kill", victim, to=LAUNCHER)  # no call: with the last Redis, the answer would be lost

    # The nodes tell each other their ports

    async def _meet(self) -> None:
        replies = await self._cluster.gather("where", include_self=False)
        self._up |= {name: msgspec.convert(up, Up) for name, up in replies.items() if up is not None}
        for changed in (self._cluster.on_join, self._cluster.on_leave, self._cluster.on_bus_health):
            changed(self._tell)

    def _announce(self) -> None:
        """Announce to all nodes, also to this one, that clients can connect here."""
        self._cluster.send("up", Up(self._server.port, os.getpid()))

    def _where(self) -> Up | None:
        return self._up.get(self._server.name)  # one that is still starting will announce itself

    def _is_up(self, sender: str, up: Up) -> None:
        self._up[sender] = up
        self._tell()
