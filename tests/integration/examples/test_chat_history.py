"""examples/chat_history: a client that was away has all that was said, or is told that it may not have it."""

from __future__ import annotations

import re
import signal

from crosswire.testing.redis_process import RedisProcess
from tests.integration.examples.scripts import Script, running

_SERVER = "examples/chat_history/server.py"
_CLIENT = "examples/chat_history/client.py"


def _port(server: Script) -> str:
    return server.wait_for(r"listening on ws://127\.0\.0\.1:(\d+)")[1]


def _sentences(client: Script) -> list[int]:
    return [int(number) for number in re.findall(r"ann: sentence (\d+)\n", client.output)]


def _is_without_hole(numbers: list[int]) -> bool:
    return numbers == list(range(numbers[0], numbers[-1] + 1))


def test_a_client_that_was_away_gets_what_it_missed_or_is_told_that_the_log_began_anew() -> None:
    with running(_SERVER, "--port", "0") as server:
        port = _port(server)
        with (
            running(_CLIENT, "ann", "--talk", "0.1", "--port", port),
            running(_CLIENT, "bob", "--port", port, "--away-for", "1") as bob,
        ):
            bob.wait_for(r"(?s)for the first time.*Away for.*Back: here is all that was said.*(ann: .*){5}")
            assert _is_without_hole(_sentences(bob))
            server.signal(signal.SIGKILL)
            server.wait()
            with running(_SERVER, "--port", port):
                bob.wait_for(r"(?s)something may be missing \(epoch\).*The last messages are loaded\n.*ann: ")


def test_a_client_whose_server_is_killed_gets_what_it_missed_from_another() -> None:
    with RedisProcess() as redis, running(_SERVER, "--redis", redis.url, "--port", "0") as first:
        port = _port(first)
        with running(_CLIENT, "bob", "--port", port) as bob:
            bob.wait_for("In the room for the first time")
            with running(_SERVER, "--redis", redis.url, "--port", port) as second:
                _port(second)
                with running(_CLIENT, "ann", "--talk", "0.1", "--port", port):
                    bob.wait_for(r"(?s)(ann: .*){3}")
                    first.signal(signal.SIGKILL)
                    bob.wait_for(r"(?s)Back: here is all that was said.*(ann: .*){3}")
                    assert _is_without_hole(_sentences(bob))
                    assert _sentences(bob)[0] == 1
