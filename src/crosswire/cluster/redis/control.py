"""Adding and removing the Redis of a running cluster."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.redis.application import application_of, is_embedded
from crosswire.cluster.redis.port import RedisPort
from crosswire.core.envelopes import SERVICE
from crosswire.core.listeners import EventListeners
from crosswire.errors import BusUnavailable, ConfigError
from crosswire.runtime.log_records import get_logger
from crosswire.types import LinkStatus, Replies

logger = get_logger("crosswire.cluster")

NODES_TIMEOUT = 5.0
"""Seconds in which all nodes must answer that they have added or removed a Redis."""


class RedisControl:
    """The Redis of a running node; an application finds it as ``node.redis``.

    Args:
        connection: returns the connection of the node to its cluster.
    """

    __slots__ = ("_added", "_connection")

    def __init__(self, connection: Callable[[], ClusterConnection]) -> None:
        self._connection = connection
        self._added: set[str] = set()

    def status(self) -> list[LinkStatus]:
        """Return the health of each Redis, as this node sees it.

        Raises:
            NotConnected: the node has not been started.
        """
        return self._port().status()

    async def add(self, url: str) -> Replies:
        """Add a Redis on all nodes. It may be called on any node, and again.

        No message is lost, as nodes publish on the Redis only when all living members listen on it.

        Returns:
            True by the name of each node that listens; in ``errors`` the nodes that can't reach the Redis, in
            ``missing`` the nodes that did not answer. As long as there are such nodes, no node publishes on it.

        Raises:
            BusUnavailable: this node can't reach the Redis.
            ConfigError: the URL can't be used.
        """
        url = _absolute_url(url)
        await self.add_here(url)
        return await self._on_all_nodes("redis.add", url)

    async def remove(self, url: str) -> Replies:
        """Remove a Redis on all nodes. No message is lost: all nodes stop publishing on it before any node leaves it.

        Raises:
            ConfigError: the Redis is not in use, or the last one.
        """
        url = _absolute_url(url)
        await self.retire_here(url)
        await self._on_all_nodes("redis.retire", url)
        await self.remove_here(url)
        return await self._on_all_nodes("redis.remove", url)

    # For the other nodes

    async def add_here(self, url: str) -> bool:
        """Add a Redis on this node only."""
        await self._port().add(url)
        self._added.add(url)
        return True

    async def retire_here(self, url: str) -> bool:
        """Stop publishing on a Redis on this node."""
        await self._port().retire(url)
        return True

    async def remove_here(self, url: str) -> bool:
        """Disconnect this node from a Redis."""
        self._added.discard(url)
        await self._port().remove(url)
        return True

    def welcome(self, name: str) -> None:
        """Send a new node the URLs of the Redis that were added at run time."""
        native = self._connection().native
        for url in self._added:
            try:
                native.send_event((name,), f"{SERVICE}redis.add", native.pack(url))
            except BusUnavailable as error:  # the node has joined nevertheless
                logger.warning("node %r is not told of a Redis that was added: %s", name, error)

    def offer(self, services: EventListeners) -> None:
        """Register the services with which other nodes add and remove a Redis on this node."""

        async def add(_sender: str, url: str) -> bool:
            return await self.add_here(url)

        async def retire(_sender: str, url: str) -> bool:
            return await self.retire_here(url)

        async def remove(_sender: str, url: str) -> bool:
            return await self.remove_here(url)

        for service in (add, retire, remove):
            services.on(f"redis.{service.__name__}", service)

    async def _on_all_nodes(self, name: str, url: str) -> Replies:
        connection = self._connection()
        others = await connection.requester.gather_service(name, url, NODES_TIMEOUT, servers=False)
        return Replies({connection.name: True, **others}, errors=others.errors, missing=others.missing)

    def _port(self) -> RedisPort:
        port = self._connection().port.bus_port
        if not isinstance(port, RedisPort):
            raise ConfigError("this node uses no Redis, so none can be added or removed: make it with redis=")
        return port


def _absolute_url(url: str) -> str:
    """Return a URL that means the same in every folder."""
    return application_of(url) if is_embedded(url) else url
