"""The addresses of an emitter's Redis."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from crosswire.cluster.redis.address import Address, parse
from crosswire.cluster.redis.application import is_embedded
from crosswire.cluster.redis.embedded.database import EmbeddedRedis
from crosswire.cluster.redis.endpoint_factory import locate
from crosswire.cluster.redis.options import Redis


class Addresses:
    """The addresses of all Redis of some options. An embedded Valkey among them is started, and used until the release.

    Args:
        options: of the Redis.

    Attributes:
        all: the addresses.

    Raises:
        ConfigError: an embedded Valkey does not start.
    """

    def __init__(self, options: Redis) -> None:
        self.all: list[Address] = []
        self._embedded: list[EmbeddedRedis] = []
        for url in options.all_urls:
            embedded, address = _located(url)
            self.all.append(address)
            if embedded is not None:
                self._embedded.append(embedded)

    def release(self) -> None:
        """Stop using the embedded Valkey. A second call does nothing."""
        for embedded in self._embedded:
            embedded.release()


def _located(url: str) -> tuple[EmbeddedRedis | None, Address]:
    if not is_embedded(url):
        return None, parse(url)
    # In a thread of its own: an event loop may be running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, locate(url)).result()
