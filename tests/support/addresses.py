"""Host names with several addresses, some of which do not answer, on the loopback interface."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

Address = tuple[str, int]


@contextmanager
def silent_address(host: str = "127.0.0.1") -> Iterator[Address]:
    """Yield an address that never answers a connection attempt: a listener whose backlog is full."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind((host, 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket(family))
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address[0], address[1]


@contextmanager
def refusing_address(host: str = "127.0.0.1") -> Iterator[Address]:
    """Yield an address that refuses connections."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.bind((host, 0))
        yield taken.getsockname()[0], taken.getsockname()[1]


def resolve(**names: list[Address]) -> None:
    """Let the running loop resolve names to addresses, each with a port of its own; underscores stand for dots."""
    loop = asyncio.get_running_loop()
    others = loop.getaddrinfo
    known = {name.replace("_", "."): addresses for name, addresses in names.items()}

    async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        if host not in known:
            return await others(host, port, **options)
        return [
            (socket.AF_INET6 if ":" in each[0] else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", each)
            for each in known[host]
        ]

    loop.getaddrinfo = getaddrinfo  # type: ignore[assignment, method-assign]
