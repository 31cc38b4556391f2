"""Certificates from files: loaded again without a dropped connection, and those of clients."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import websockets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from crosswire import ConfigError, Handshake, Server, Tls
from crosswire.testing.reserved_port import ReservedPort
from crosswire.transport import tls_files
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts
from tests.support.running_program import RunningProgram

CERTIFICATE, KEY = "certificate.pem", "key.pem"


def make_pair(directory: Path, name: str = "") -> Path:
    """A folder with a certificate of its own and its key."""
    folder = directory / name
    folder.mkdir(exist_ok=True)
    tls_contexts(folder)
    return folder


def tls_of(folder: Path, **options: Any) -> Tls:
    return Tls(folder / CERTIFICATE, folder / KEY, **options)


def shown_by(port: int) -> str:
    """The certificate that a server shows."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=20)


async def shows(port: int, folder: Path) -> bool:
    shown = await asyncio.to_thread(shown_by, port)
    return shown.strip() == (folder / CERTIFICATE).read_text().strip()


async def wait_until_shown(port: int, folder: Path) -> None:
    async with asyncio.timeout(20):
        while not await shows(port, folder):  # noqa: ASYNC110 - a server in another process has no event
            await asyncio.sleep(0.02)


def replace_pair(target: Path, source: Path) -> None:
    for name in (CERTIFICATE, KEY):
        shutil.copy(source / name, target / name)


@pytest.fixture
def _fast_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_files, "POLL_INTERVAL", 0.05)


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / CERTIFICATE))


@pytest.mark.usefixtures("_fast_polls")
@pytest.mark.parametrize("way", ["files are written", "a link is replaced"])
async def test_a_new_certificate_is_used_and_no_connection_is_lost(tmp_path: Path, way: str) -> None:
    old, new = make_pair(tmp_path, "old"), make_pair(tmp_path, "new")
    live = tmp_path / "live"
    if way == "a link is replaced":
        live.symlink_to(old)
    else:
        live.mkdir()
        replace_pair(live, old)
    server = Server(port=0, tls=(str(live / CERTIFICATE), str(live / KEY)))
    server.on("hi", lambda: "hello")
    async with server:
        url = f"wss://localhost:{server.port}"
        async with websockets.connect(url, ssl=trusting(old), proxy=None) as ws:
            if way == "a link is replaced":
                (tmp_path / "next").symlink_to(new)
                (tmp_path / "next").rename(live)
            else:
                replace_pair(live, new)
            await wait_until_shown(server.port, new)
            await ws.send('{"event":"hi","callbackId":"1"}')
            assert "hello" in str(await ws.recv())
        async with websockets.connect(url, ssl=trusting(new), proxy=None):
            pass


@pytest.mark.usefixtures("_fast_polls")
@pytest.mark.parametrize("broken", ["another key", "no certificate", "gone"])
async def test_while_the_new_files_are_broken_the_old_certificate_stays(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    live, old, new = make_pair(tmp_path, "live"), tmp_path / "old", make_pair(tmp_path, "new")
    shutil.copytree(live, old)
    async with Server(port=0, tls=tls_of(live)) as server:
        if broken == "another key":
            shutil.copy(new / KEY, live / KEY)
        elif broken == "no certificate":
            (live / CERTIFICATE).write_text("no certificate")
        else:
            (live / CERTIFICATE).unlink()
        await wait_until(lambda: "stays in use" in caplog.text)
        assert await shows(server.port, old)
        replace_pair(live, new)
        await wait_until_shown(server.port, new)


@pytest.mark.parametrize("kind", ["missing", "no certificate", "another key", "an encrypted key", "no authority"])
def test_files_that_can_not_be_used_are_refused_when_the_server_is_made(tmp_path: Path, kind: str) -> None:
    folder, other = make_pair(tmp_path, "a"), make_pair(tmp_path, "b")
    options: dict[str, Any] = {}
    if kind == "missing":
        (folder / KEY).unlink()
    elif kind == "no certificate":
        (folder / CERTIFICATE).write_text("")
    elif kind == "another key":
        shutil.copy(other / KEY, folder / KEY)
    elif kind == "an encrypted key":
        encrypt(folder / KEY, "secret")
    else:
        options["client_ca"] = folder / KEY
    with pytest.raises(ConfigError, match="can't be used"):
        Server(tls=tls_of(folder, **options))


def encrypt(path: Path, password: str) -> None:
    key = load_pem_private_key(path.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(password.encode())
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))


async def test_an_encrypted_key_has_a_password_that_nothing_shows(tmp_path: Path) -> None:
    folder = make_pair(tmp_path, "a")
    encrypt(folder / KEY, "secret word")
    tls = tls_of(folder, password="secret word")
    assert "secret word" not in repr(tls)
    async with Server(port=0, tls=tls) as server:
        assert await shows(server.port, folder)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_versions_of_tls_are_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    folder = make_pair(tmp_path, "a")
    context = trusting(folder)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = version
    context.maximum_version = version
    async with Server(port=0, tls=tls_of(folder)) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("localhost", server.port, ssl=context)


@pytest.mark.parametrize("value", [("a",), "certificate.pem", 5, Tls])
def test_what_is_no_certificate_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="tls"):
        Server(tls=value)


# SIGHUP

PROGRAM = """
import os
from crosswire import Server, Tls
from crosswire.transport import tls_files

tls_files.POLL_INTERVAL = 3600
Server("web", port=int(os.environ["PORT"]), tls=Tls("certificate.pem", "key.pem")).run()
"""


async def test_a_sighup_loads_the_certificate_again(tmp_path: Path) -> None:
    # tests/integration/cli/test_serve_tls.py has the same for the workers of `crosswire serve`.
    live, old, new = make_pair(tmp_path, "live"), tmp_path / "old", make_pair(tmp_path, "new")
    shutil.copytree(live, old)
    (live / "program.py").write_text(PROGRAM)
    port = ReservedPort()
    environment = {**os.environ, "PORT": str(port.number)}
    program = RunningProgram([sys.executable, "program.py"], cwd=live, environment=environment)
    try:
        await asyncio.to_thread(program.wait_for, "listening on")
        assert await shows(port.number, old)
        replace_pair(live, new)
        assert await shows(port.number, old)
        program.signal(signal.SIGHUP)
        await wait_until_shown(port.number, new)
        assert await asyncio.to_thread(program.interrupt) == 0
    finally:
        await asyncio.to_thread(program.stop)
        port.close()


# Certificates of clients


async def seen_by(server: Server, context: ssl.SSLContext) -> list[Handshake]:
    """What ``authenticate`` gets of a client with that context."""
    seen: list[Handshake] = []
    server.authenticate(seen.append)
    async with server, websockets.connect(f"wss://localhost:{server.port}", ssl=context, proxy=None):
        return seen


@pytest.mark.parametrize("required", [True, False])
async def test_a_client_shows_its_certificate(tmp_path: Path, required: bool) -> None:
    folder, client = make_pair(tmp_path, "server"), make_pair(tmp_path, "client")
    tls = tls_of(folder, client_ca=client / CERTIFICATE, client_required=required)
    context = trusting(folder)
    context.load_cert_chain(client / CERTIFICATE, client / KEY)
    [handshake] = await seen_by(Server(port=0, tls=tls), context)
    assert handshake.peer_certificate is not None
    assert handshake.peer_certificate["subject"] == ((("commonName", "localhost"),),)
    assert handshake.peer_name == "localhost"


async def test_a_client_without_a_certificate_is_refused_unless_it_needs_none(tmp_path: Path) -> None:
    folder, client = make_pair(tmp_path, "server"), make_pair(tmp_path, "client")
    optional = tls_of(folder, client_ca=client / CERTIFICATE, client_required=False)
    [handshake] = await seen_by(Server(port=0, tls=optional), trusting(folder))
    assert handshake.peer_certificate is None
    assert handshake.peer_name is None
    with pytest.raises((OSError, EOFError, websockets.InvalidMessage)):
        await seen_by(Server(port=0, tls=tls_of(folder, client_ca=client / CERTIFICATE)), trusting(folder))


@pytest.mark.parametrize("required", [True, False])
async def test_a_certificate_of_a_stranger_is_refused(tmp_path: Path, required: bool) -> None:
    folder, client, stranger = (make_pair(tmp_path, name) for name in ("server", "client", "stranger"))
    context = trusting(folder)
    context.load_cert_chain(stranger / CERTIFICATE, stranger / KEY)
    tls = tls_of(folder, client_ca=client / CERTIFICATE, client_required=required)
    with pytest.raises((OSError, EOFError, websockets.InvalidMessage)):
        await seen_by(Server(port=0, tls=tls), context)


@pytest.mark.usefixtures("_fast_polls")
async def test_new_authorities_of_clients_are_used_too(tmp_path: Path) -> None:
    folder, first, second = (make_pair(tmp_path, name) for name in ("server", "first", "second"))
    authority = tmp_path / "ca.pem"
    shutil.copy(first / CERTIFICATE, authority)
    contexts = {client: trusting(folder) for client in (first, second)}
    for client, context in contexts.items():
        context.load_cert_chain(client / CERTIFICATE, client / KEY)
    async with Server(port=0, tls=tls_of(folder, client_ca=authority)) as server:
        url = f"wss://localhost:{server.port}"

        async def let_in(client: Path) -> bool:
            try:
                async with websockets.connect(url, ssl=contexts[client], proxy=None):
                    return True
            except (OSError, EOFError, websockets.InvalidMessage):
                return False

        assert (await let_in(first), await let_in(second)) == (True, False)
        shutil.copy(second / CERTIFICATE, authority)
        async with asyncio.timeout(20):
            while not await let_in(second):  # noqa: ASYNC110 - nothing tells when it is used
                await asyncio.sleep(0.02)
        assert not await let_in(first)
