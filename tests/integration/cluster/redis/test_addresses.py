"""A host name of a Redis with several addresses, some of which don't work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crosswire.cluster.redis.address import parse
from crosswire.cluster.redis.dialer import Dialer
from crosswire.testing.redis_process import RedisProcess, TlsFiles, servers_here
from tests.support.addresses import refusing_address, resolve, silent_address
from tests.support.certificates import tls_contexts
from tests.support.loops import on_every_loop


@on_every_loop
@pytest.mark.parametrize("dead", [silent_address, refusing_address], ids=["silent", "refusing"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_dead_address_does_not_keep_from_the_other(dead: Any, host: str) -> None:
    with RedisProcess() as redis, dead(host) as first:
        resolve(redis_test=[first, ("127.0.0.1", redis.port)])
        link = await Dialer(parse("redis://redis.test"), "a", 5).open("pub")
        link.close("done")
        await link.closed()


@on_every_loop
async def test_the_certificate_is_that_of_the_name(tmp_path: Path) -> None:
    binary = next((each for each in servers_here() if RedisProcess.supports_tls(each)), None)
    if binary is None:
        pytest.skip("no server here was built with TLS")
    tls_contexts(tmp_path)
    certificate = tmp_path / "certificate.pem"
    files = TlsFiles(certificate, tmp_path / "key.pem", certificate)
    with RedisProcess(binary, tls=files) as redis, silent_address() as first:
        resolve(localhost=[first, ("127.0.0.1", redis.port)], other_test=[("127.0.0.1", redis.port)])
        link = await Dialer(parse(f"rediss://localhost?ssl_ca_certs={tmp_path}/certificate.pem"), "a", 5).open("pub")
        link.close("done")
        await link.closed()
        wrong = Dialer(parse(f"rediss://other.test?ssl_ca_certs={tmp_path}/certificate.pem"), "a", 5)
        with pytest.raises(ConnectionError, match=r"(?i)certificate|hostname"):
            await wrong.open("pub")
