"""examples/single_server: both programs do what their documentation says, started as by a user."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.integration.examples.scripts import Script, running

SERVER = "examples/single_server/server.py"
CLIENT = "examples/single_server/client.py"


@pytest.fixture
def server() -> Iterator[Script]:
    with running(SERVER, "--port", "0", "--broadcast-every", "0.3", "--room-every", "0.2") as script:
        yield script


def port_of(server: Script) -> str:
    return server.wait_for(r"listening on ws://127\.0\.0\.1:(\d+)")[1]


def test_the_client_goes_through_its_steps(server: Script) -> None:
    with running(CLIENT, "--port", port_of(server), "--id", "16", "--pace", "0.2", "--ping-every", "0.5") as client:
        client.wait_for(r"^Connected$")
        client.wait_for(r"(?s)^Waiting for the reply .*^Awaited reply: \{'msg': 'I am a reply to your say event'\}$")
        client.wait_for(r"^Callback got a reply: \{'msg': 'I am a reply to your say event'\}$")
        client.wait_for(r"^joinRoom: \{'msg': 'JoinRoom successfully'\}$")
        client.wait_for(r"^The server says to the room: \{'msg': 'This is a message sent to the test room'\}$")
        client.wait_for(r"^The server says to everyone: Hello, everyone!$")
        client.wait_for(r"^Latency: \d+\.\d ms$")

        assert client.interrupt() == 0
        assert "Traceback" not in client.output
    server.wait_for(r"^Client 16 connected: Sam$")
    server.wait_for(r"^Client 16 disconnected: 4001")
    assert server.interrupt() == 0
    assert "Traceback" not in server.output


def test_room_messages_reach_only_those_who_joined(server: Script) -> None:
    with running(CLIENT, "--port", port_of(server), "--pace", "60") as client:
        client.wait_for(r"(?s)(?:The server says to everyone.*?){3}")
        assert "to the room" not in client.output


@pytest.mark.parametrize("empty", ["--id=", "--id"])
def test_a_client_without_an_id_is_refused_and_stays_away(server: Script, empty: str) -> None:
    arguments = [empty] if "=" in empty else [empty, ""]
    with running(CLIENT, "--port", port_of(server), *arguments) as client:
        assert client.wait() == 1
        assert "Closed: 4011 Auth failure\nThe close code says to stay away: no reconnection\n" in client.output
        assert client.output.endswith("Not connected: the server refused the connection with 4011 Auth failure\n")
        assert "Attempt" not in client.output
        assert "Traceback" not in client.output


def test_the_client_comes_back_after_a_loss(server: Script) -> None:
    port = port_of(server)
    with running(CLIENT, "--port", port) as client:
        client.wait_for(r"^Connected$")
        assert server.interrupt() == 0
        client.wait_for(r"^Closed: 1001 ")
        client.wait_for(r"^Attempt 1 to connect again in \d\.\d s$")
        with running(SERVER, "--port", port):
            client.wait_for(r"(?s)^Closed: 1001 .*^Connected$")


def test_the_client_gives_up_at_its_limit(server: Script) -> None:
    with running(CLIENT, "--port", port_of(server), "--retry-limit", "1") as client:
        client.wait_for(r"^Connected$")
        assert server.interrupt() == 0
        assert client.wait() == 0
        assert client.output.endswith("Gave up after 1 attempts\n")


def test_a_port_in_use_is_reported(server: Script) -> None:
    with running(SERVER, "--port", port_of(server)) as second:
        assert second.wait() == 1
        assert "can't listen on" in second.output
        assert "Traceback" not in second.output


def test_without_a_server_the_client_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        with running(CLIENT, "--port", str(taken.getsockname()[1]), "--retry-limit", "0") as client:
            assert client.wait() == 1
            assert "Not connected: gave up after 0 attempts" in client.output
            assert "Traceback" not in client.output
