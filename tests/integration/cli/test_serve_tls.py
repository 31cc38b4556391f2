"""``crosswire serve`` with a certificate from files, for all its workers."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import ssl
from pathlib import Path

import pytest
import websockets

from crosswire.testing.redis_process import RedisProcess
from tests.integration.cli.program import WAIT_TIMEOUT, crosswire, port_of, serving
from tests.support.certificates import tls_contexts

PROGRAM = """
from crosswire import Server
from crosswire.transport import tls_files

tls_files.POLL_INTERVAL = 3600
server = Server("web", duplicates="allow")
server.authenticate(lambda handshake: handshake.peer_name)
server.on("where", lambda: server.name)
"""
"""A server that looks at the files only when a signal comes."""


def make_pair(directory: Path) -> Path:
    """A folder with a certificate of its own and its key."""
    directory.mkdir()
    tls_contexts(directory)
    return directory


def client_context(server: Path, client: Path | None = None) -> ssl.SSLContext:
    """The context of a client that trusts a server's certificate, and shows its own."""
    context = ssl.create_default_context(cafile=str(server / "certificate.pem"))
    if client is not None:
        context.load_cert_chain(client / "certificate.pem", client / "key.pem")
    return context


async def worker_of(ws: websockets.ClientConnection) -> str:
    """The name of the worker at the other end of a connection."""
    await ws.send('{"event":"where","callbackId":"1"}')
    while True:
        if found := re.search(r"web-\d", str(await ws.recv())):
            return found[0]


async def test_a_sighup_loads_the_certificate_again_in_all_workers(redis: RedisProcess, tmp_path: Path) -> None:
    live, new, client = (make_pair(tmp_path / name) for name in ("live", "new", "client"))
    shutil.copytree(live, tmp_path / "old")
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [
        *("program:server", "--workers", "2", "--port", "0", "--redis", redis.url, "--prefix", "tls:"),
        *("--tls-certificate", "live/certificate.pem", "--tls-key", "live/key.pem"),
        *("--tls-client-ca", "client/certificate.pem"),
    ]
    with serving(*words, folder=tmp_path) as served:
        url = f"wss://localhost:{await asyncio.to_thread(port_of, served)}"
        with pytest.raises((OSError, EOFError, websockets.InvalidMessage)):
            async with websockets.connect(url, ssl=client_context(tmp_path / "old"), proxy=None):
                pass
        async with websockets.connect(url, ssl=client_context(tmp_path / "old", client), proxy=None) as before:
            for name in ("certificate.pem", "key.pem"):
                shutil.copy(new / name, live / name)
            served.signal(signal.SIGHUP)
            for name in ("web-1", "web-2"):
                await asyncio.to_thread(served.wait_for, rf"{name} crosswire\.tls: the certificate was loaded again")
            workers: set[str] = set()
            async with asyncio.timeout(WAIT_TIMEOUT):
                while workers != {"web-1", "web-2"}:
                    async with websockets.connect(url, ssl=client_context(new, client), proxy=None) as ws:
                        workers.add(await worker_of(ws))
            assert await worker_of(before) in workers


def test_a_file_that_can_not_be_used_is_one_line(tmp_path: Path) -> None:
    code, out, err = crosswire("serve", "app:server", "--tls-certificate", str(tmp_path / "none.pem"))
    assert (code, out) == (2, "")
    assert "none.pem can't be used" in err
    assert err.count("\n") == 1
