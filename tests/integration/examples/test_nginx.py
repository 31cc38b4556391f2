"""examples/nginx: its configuration in a real nginx, in front of two processes with a Redis."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.reserved_port import ReservedPort
from tests.integration.examples.scripts import Script
from tests.support.certificates import tls_contexts

EXAMPLE = Path(__file__).parents[3] / "examples" / "nginx"
NGINX = shutil.which("nginx", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
MAIN = """
{user}
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 100; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    include {place}/chat.conf;
}}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx (Debian: nginx-light)")


class Cluster:
    """Two processes of the example, and nginx in front of them.

    Attributes:
        url: of the WebSockets.
        tls: for its clients.
        servers: the processes, by the name of their node.
    """

    def __init__(self, url: str, tls: ssl.SSLContext, servers: dict[str, Script]) -> None:
        self.url = url
        self.tls = tls
        self.servers = servers

    def connect(self, user: str, address: str = "127.0.0.1") -> websockets.connect:
        """Connect a user from an address of this machine."""
        url = f"{self.url}/ws?id={user}"
        return websockets.connect(url, ssl=self.tls, local_addr=(address, 0), proxy=None)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, f"the example has no {old!r} any more"
        text = text.replace(old, new)
    return text


def configuration(place: Path, port: int, servers: list[int]) -> Path:
    """Write the example's configuration with other ports and another certificate, and a main one that includes it."""
    text = replaced(
        (EXAMPLE / "chat.conf").read_text(),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("127.0.0.1:9001", f"127.0.0.1:{servers[0]}"),
        ("127.0.0.1:9002", f"127.0.0.1:{servers[1]}"),
        ("/etc/nginx/tls/chat.example.com.crt", f"{place}/certificate.pem"),
        ("/etc/nginx/tls/chat.example.com.key", f"{place}/key.pem"),
    )
    (place / "chat.conf").write_text(text)
    main = place / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers could not read the certificate here
    main.write_text(MAIN.format(place=place, user=user))
    return main


@contextmanager
def serving(name: str, port: int, redis: str) -> Iterator[Script]:
    command = [sys.executable, "-m", "crosswire", "serve", "chat:server", "--port", str(port), "--name", name]
    script = Script([*command, "--redis", redis], cwd=EXAMPLE, environment=os.environ)
    try:
        script.wait_for("listening on")
        yield script
    finally:
        script.stop()


def wait_until_listening(port: int, nginx: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert nginx.poll() is None, "nginx has ended: its configuration is invalid"
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    assert NGINX is not None
    place = tmp_path_factory.mktemp("nginx")
    _, client_tls = tls_contexts(place)
    port, *ports = [ReservedPort() for _ in range(3)]
    main = configuration(place, port.number, [each.number for each in ports])
    with ExitStack() as stack:
        redis = stack.enter_context(RedisProcess())
        servers = {
            f"chat-{letter}-1": stack.enter_context(serving(f"chat-{letter}", each.number, redis.url))
            for letter, each in zip("ab", ports, strict=True)
        }
        nginx = subprocess.Popen([NGINX, "-p", str(place), "-c", str(main), "-e", str(place / "error.log")])
        stack.callback(nginx.wait)
        stack.callback(nginx.terminate)
        wait_until_listening(port.number, nginx)
        yield Cluster(f"wss://localhost:{port.number}", client_tls, servers)


async def call(client: websockets.ClientConnection, event: str, data: Any = None) -> Any:
    await client.send(json.dumps({"event": event, "payload": data, "callbackId": "1"}))
    return json.loads(await client.recv())["payload"]


async def test_clients_reach_any_server_over_tls_and_meet(cluster: Cluster) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(cluster.connect(str(number), f"127.0.0.{2 + number}"))
            for number in range(4)
        ]
        places = [await call(client, "where") for client in clients]
        assert {place["server"] for place in places} == set(cluster.servers)
        assert [place["address"] for place in places] == [f"127.0.0.{2 + number}" for number in range(4)]
        assert {(place["scheme"], place["path"]) for place in places} == {("https", "/ws")}
        await clients[0].send(json.dumps({"event": "say", "payload": "hello"}))
        for client in clients:
            message = json.loads(await client.recv())
            assert message == {"event": "said", "payload": {"user": "0", "text": "hello"}}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/publish", "/metrics"])
async def test_pages_of_the_servers_are_not_for_the_world(cluster: Cluster, path: str) -> None:
    async with httpx.AsyncClient(verify=cluster.tls, trust_env=False) as http:
        assert (await http.get(cluster.url.replace("wss", "https") + path)).status_code == 404


async def test_clients_of_a_server_that_is_stopped_come_to_the_other(cluster: Cluster) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(cluster.connect(str(number))) for number in range(4)]
        by_server: dict[str, websockets.ClientConnection] = {}
        for client in clients:
            by_server[(await call(client, "where"))["server"]] = client
        gone, stays = sorted(by_server)
        cluster.servers[gone].signal(signal.SIGINT)
        await by_server[gone].wait_closed()
        assert by_server[gone].close_code == 1001
        for number in range(4):
            async with cluster.connect(f"new-{number}") as client:
                assert (await call(client, "where"))["server"] == stays
        assert (await call(by_server[stays], "where"))["server"] == stays
