from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from crosswire import ConfigError, Limits, Server
from tests.integration.transport.raw_connection import RawConnection
from tests.support.certificates import tls_contexts


async def test_a_tls_handshake_that_takes_too_long_is_dropped_too(tmp_path: Path) -> None:
    server_tls, _ = tls_contexts(tmp_path)
    async with Server(port=0, tls=server_tls, limits=Limits(handshake_timeout=0.1)) as server:
        raw = RawConnection(*await asyncio.open_connection("127.0.0.1", server.port))
        assert await raw.read_all() == b""
        await raw.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED])
async def test_a_context_without_a_certificate_is_refused_at_the_start(version: ssl.TLSVersion) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.maximum_version = version
    with pytest.raises(ConfigError, match="load_cert_chain"):
        await Server(port=0, tls=tls).start()


async def test_a_context_that_asks_clients_for_a_certificate_is_accepted(tmp_path: Path) -> None:
    server_tls, _ = tls_contexts(tmp_path)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    async with Server(port=0, tls=server_tls) as server:
        assert server.running
