"""The Redis of a running node: to look at, to add and to remove."""

from __future__ import annotations

import logging
from collections.abc import Callable

from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.redis.application import application_of, is_embedded
from crosswire.cluster.redis.port import RedisPort
from crosswire.core.envelopes import SERVICE
from crosswire.core.listeners import EventListeners
from crosswire.errors import BusUnavailable, ConfigError
from crosswire.types import LinkStatus, Replies

logger = logging.getLogger("crosswire.cluster")

PATIENCE = 5.0
"""Seconds that all nodes have to listen on a Redis that is added."""


class RedisControl:
    """The Redis of a running node, as ``node.redis`` offers them.

    Args:
        connection: gives the node's part in the cluster.
    """

    __slots__ = ("_added", "_connection")

    def __init__(self, connection: Callable[[], ClusterConnection]) -> None:
        self._connection = connection
        self._added: set[str] = set()

    def status(self) -> list[LinkStatus]:
        """Return how each Redis is, seen from this node.

        Raises:
            NotConnected: the node has not been started.
        """
        return self._port().status()

    async def add(self, url: str) -> Replies:
        """Let all nodes use one more Redis. It may be said on any node, and twice.

        Nothing is lost: nobody publishes there before all living members listen.

        Returns:
            True by the name of each node that listens; in ``errors`` who can't reach it, in ``missing`` who did not
            say. As long as there are such, it is not published to.

        Raises:
            BusUnavailable: this node can't reach it.
            ConfigError: the url is none.
        """
        url = _everywhere_the_same(url)
        await self.add_here(url)
        return await self._everywhere("redis.add", url)

    async def remove(self, url: str) -> Replies:
        """Let all nodes do without a Redis. Nothing is lost: they leave it when nobody publishes there any more.

        Raises:
            ConfigError: it is not in use, or the last one.
        """
        url = _everywhere_the_same(url)
        await self.retire_here(url)
        await self._everywhere("redis.retire", url)
        await self.remove_here(url)
        return await self._everywhere("redis.remove", url)

    # For the other nodes

    async def add_here(self, url: str) -> bool:
        """Use one more Redis on this node."""
        await self._port().add(url)
        self._added.add(url)
        return True

    async def retire_here(self, url: str) -> bool:
        """Publish on a Redis no more."""
        await self._port().retire(url)
        return True

    async def remove_here(self, url: str) -> bool:
        """Leave a Redis."""
        self._added.discard(url)
        await self._port().remove(url)
        return True

    def welcome(self, name: str) -> None:
        """Tell a node that has just come which Redis were added since the others started."""
        native = self._connection().native
        for url in self._added:
            try:
                native.send_event((name,), f"{SERVICE}redis.add", native.pack(url))
            except BusUnavailable as error:  # who comes is to be known of all the same
                logger.warning("node %r is not told of a Redis that was added: %s", name, error)

    def offer(self, services: EventListeners) -> None:
        """Let other nodes add and remove a Redis on this one."""

        async def add(_sender: str, url: str) -> bool:
            return await self.add_here(url)

        async def retire(_sender: str, url: str) -> bool:
            return await self.retire_here(url)

        async def remove(_sender: str, url: str) -> bool:
            return await self.remove_here(url)

        for service in (add, retire, remove):
            services.on(f"redis.{service.__name__}", service)

    async def _everywhere(self, name: str, url: str) -> Replies:
        connection = self._connection()
        others = await connection.requester.gather_service(name, url, PATIENCE, servers=False)
        return Replies({connection.name: True, **others}, errors=others.errors, missing=others.missing)

    def _port(self) -> RedisPort:
        port = self._connection().port.bus_port
        if not isinstance(port, RedisPort):
            raise ConfigError("this node uses no Redis, so none can be added or removed: make it with redis=")
        return port


def _everywhere_the_same(url: str) -> str:
    """A url that means the same in every folder."""
    return application_of(url) if is_embedded(url) else url
