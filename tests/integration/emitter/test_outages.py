"""An emitter while Redis can't be reached, hangs or refuses."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Iterator

import pytest

from crosswire import BusUnavailable, Emitter, Redis
from crosswire.cluster.redis.address import parse
from crosswire.cluster.redis.commands import command
from crosswire.emitter.redis_link import CONNECT_TIMEOUT, RedisLink, Refusal
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import clients, received, running_servers
from tests.support.aio import wait_until

STANDSTILL = 3.0
"""Seconds for which a busy machine may stop this process."""


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


async def test_a_redis_that_is_gone_and_comes_back(server: RedisProcess) -> None:
    bus = Redis(server.url)
    async with running_servers(bus, "a") as (a,), clients({"1": a}) as peers:
        with Emitter(redis=bus) as emitter:
            emitter.user("1").send("x", 1)
            server.kill()
            for _ in range(2):
                with pytest.raises(BusUnavailable, match=str(server.port)):
                    emitter.user("1").send("lost")
            with pytest.raises(BusUnavailable):
                emitter.send("lost")
            await wait_until(lambda: not a.cluster.redis.status()[0].healthy)
            server.restart()
            await wait_until(lambda: a.cluster.redis.status()[0].healthy, 10)
            emitter.user("1").send("x", 2)
            emitter.user("1").send("end")
            assert await received(peers["1"]) == [("x", 1), ("x", 2)]


def test_a_redis_that_hangs_is_waited_for_and_then_left_out(
    server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosswire.emitter.connection.ANSWER_TIMEOUT", 0.3)
    with Emitter(redis=server.url) as emitter:
        emitter.everyone.send("x")
        server.pause()
        began = time.monotonic()
        with pytest.raises(BusUnavailable, match=r"(?i)timeout"):
            emitter.everyone.send("x")
        assert time.monotonic() - began < CONNECT_TIMEOUT + STANDSTILL
        with pytest.raises(BusUnavailable, match=r"(?i)timeout"):
            emitter.everyone.send("x")
        assert time.monotonic() - began < CONNECT_TIMEOUT + STANDSTILL
        server.resume()


def test_a_connection_that_was_closed_while_it_was_not_used_is_opened_again(server: RedisProcess) -> None:
    with Emitter(redis=server.url) as emitter:
        for _ in range(3):
            emitter.everyone.send("x")
            assert server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") == 1


def test_answers_that_were_not_read_are_not_taken_for_others(server: RedisProcess) -> None:
    """As after an exception that a signal handler raised, such as a time limit of Celery."""
    link = RedisLink(parse(server.url), "test")
    link.send([command(b"PUBLISH", b"channel", b"message")])
    link.send([command(b"PING"), command(b"UNKNOWN")])
    pong, refusal = link.receive(2)
    assert (pong, isinstance(refusal, Refusal)) == (b"PONG", True)
    link.drop()


def test_an_interrupted_message_does_no_harm_to_the_next(server: RedisProcess) -> None:
    class TimeLimit(Exception):
        pass

    def interrupt(*_arguments: object) -> None:
        raise TimeLimit

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Emitter(redis=server.url) as emitter:
            emitter.everyone.send("x")
            server.pause()
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(TimeLimit):
                emitter.everyone.send("x")
            server.resume()
            emitter.everyone.send("x")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_wrong_password_is_told() -> None:
    password = secrets.token_hex(4)
    with RedisProcess(password=password) as server:
        with Emitter(redis=server.url) as emitter:
            emitter.everyone.send("x")
        url = server.url.replace(password, "wrong")
        with Emitter(redis=url) as emitter, pytest.raises(BusUnavailable, match=r"(?i)password") as caught:
            emitter.everyone.send("x")
        assert "wrong:" not in str(caught.value)
        assert password not in str(caught.value)


def test_a_channel_that_the_acl_forbids_is_told() -> None:
    with RedisProcess(users=["user bob on >secret ~* &cw:u:* +publish"]) as server:
        bob = server.url_as("bob", "secret")
        with Emitter(redis=bob) as emitter:
            emitter.user("1").send("x")
            with pytest.raises(BusUnavailable, match=r"(?i)permission"):
                emitter.everyone.send("x")
            emitter.user("1").send("x")
