"""The Redis that an emitter finds by its URL: TLS, a Unix socket, sentinels, an embedded Valkey, a database."""

from __future__ import annotations

import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswire import BusUnavailable, Emitter, Node, Redis
from crosswire.testing.redis_process import RedisProcess, TlsFiles, servers_here
from crosswire.testing.sentinels import SentinelGroup
from tests.integration.cluster.support import RecordingHandler
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts

SECRET = "s3cr3t p@ss/w?rd,1"


async def check(url: str) -> None:
    """Check that a node over the same Redis gets what an emitter sends, and answers it."""
    bus = Redis(url, prefix=f"test-{secrets.token_hex(4)}:")
    async with Node("n", redis=bus) as node:
        heard = RecordingHandler("answer")
        node.on("x", heard)
        with Emitter(redis=bus) as emitter:
            emitter.send("x", 1)
            await wait_until(lambda: [data for _, data in heard.calls] == [1])


async def test_a_unix_socket() -> None:
    with RedisProcess(unix_socket=True, password=SECRET) as server:
        await check(server.url)


async def test_a_user_a_password_and_a_database() -> None:
    with RedisProcess(users=["user bob on >secret ~* &* +@all"]) as server:
        await check(server.url_as("bob", "secret") + "/3")
        with Emitter(redis=server.url + "/99") as emitter, pytest.raises(BusUnavailable, match=r"(?i)db"):
            emitter.everyone.send("x")


async def test_tls(tmp_path: Path) -> None:
    binary = next((each for each in servers_here() if RedisProcess.supports_tls(each)), None)
    if binary is None:
        pytest.skip("no server here was built with TLS")
    tls_contexts(tmp_path)
    certificate = tmp_path / "certificate.pem"
    with RedisProcess(binary, tls=TlsFiles(certificate, tmp_path / "key.pem", certificate)) as server:
        base = f"rediss://localhost:{server.port}"
        await check(f"{base}?ssl_ca_certs={certificate}")
        await check(f"{base}?ssl_cert_reqs=none")
        with Emitter(redis=base) as emitter, pytest.raises(BusUnavailable, match=r"(?i)certificate"):
            emitter.everyone.send("x")


async def test_sentinels_are_asked_for_the_master() -> None:
    with SentinelGroup(replicas=0, password=SECRET, sentinel_password="other") as group:
        await check(group.url)
        with (
            Emitter(redis=group.url.replace(f"/{group.service}", "/unknown")) as emitter,
            pytest.raises(BusUnavailable, match="unknown"),
        ):
            emitter.everyone.send("x")


@pytest.fixture
def embedded_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for embedded servers of the test's own, which must be gone at its end."""
    with tempfile.TemporaryDirectory(prefix="cw", dir="/tmp") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        monkeypatch.setenv("TMPDIR", temporary)
        yield Path(temporary)
        deadline = time.monotonic() + 10
        while list(Path(temporary).rglob("redis.sock")):
            assert time.monotonic() < deadline, "the server outlives its users"
            time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix sockets")
async def test_an_embedded_valkey_is_started_and_ends_with_its_last_user(embedded_directory: Path) -> None:
    with Emitter(redis="embedded:shop") as emitter:
        emitter.everyone.send("x")
        [place] = embedded_directory.rglob("redis.sock")  # noqa: ASYNC240
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(place))
        await check("embedded:shop")
        emitter.everyone.send("x")
