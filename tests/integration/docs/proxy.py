"""A proxy that speaks TLS for the hosts of the documentation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.docs.isolation import HOSTS
from tests.support.certificates import tls_contexts

_READ_SIZE = 65536
"""Bytes."""


@asynccontextmanager
async def tls_proxy(directory: Path, environment: dict[str, str], port: int = 9000) -> AsyncIterator[None]:
    """Forward port 443 to a server of this machine; let programs trust the certificate.

    Args:
        directory: for the certificate.
        environment: of programs.
        port: of the server.
    """
    context, _ = tls_contexts(directory, HOSTS)
    trusted = str(directory / "certificate.pem")
    for each in (os.environ, environment):
        each |= {"SSL_CERT_FILE": trusted, "NODE_EXTRA_CA_CERTS": trusted}
    forwarding: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        forwarding.add(task := asyncio.ensure_future(_copy(reader, upstream_writer)))
        await _copy(upstream_reader, writer)
        await task
        forwarding.discard(task)

    listener = await asyncio.start_server(forward, "127.0.0.1", 443, ssl=context)
    try:
        yield
    finally:
        listener.close()
        await asyncio.gather(*forwarding)
        await listener.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ_SIZE):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side is told by the close
    finally:
        writer.close()
