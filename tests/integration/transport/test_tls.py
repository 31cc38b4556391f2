from __future__ import annotations

import asyncio
from pathlib import Path

from crosswire import Limits, Server
from crosswire.runtime.loops import loop_factory
from tests.integration.transport.raw import Raw
from tests.support import aio
from tests.support.certificates import tls_contexts


def test_a_tls_handshake_that_takes_too_long_is_dropped_too(tmp_path: Path) -> None:
    async def main() -> None:
        server_tls, _ = tls_contexts(tmp_path)
        async with Server(port=0, tls=server_tls, limits=Limits(handshake_timeout=0.1)) as server:
            raw = Raw(*await asyncio.open_connection("127.0.0.1", server.port))
            assert await raw.read_all() == b""
            await raw.close()

    aio.run(main(), loop_factory())
