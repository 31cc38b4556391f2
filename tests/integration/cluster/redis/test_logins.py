"""Logins to a Redis, and the errors of refused ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from crosswire.cluster.redis.options import Redis
from crosswire.errors import ConfigError
from crosswire.testing.redis_process import RedisProcess, TlsFiles, servers_here
from tests.integration.cluster.redis.support import Stopwatch, started_members
from tests.integration.cluster.redis.test_log_faults import members
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts

SECRET = "s3cr3t p@ss/w?rd"
ALL = "~* &* +@all"


async def converse(url: str) -> None:
    """Let two ports talk over a Redis."""
    async with started_members(Redis(url), 2) as (a, b):
        assert a.healthy == [True]
        await b.listen()
        a.port.publish(b"cw:test", b"hello")
        await b.receives(b"hello")
        assert SECRET not in repr(a.redis.status())


async def refusal(url: str, **options: Any) -> str:
    """Return the text of the error with which a start fails."""
    with pytest.raises(ConfigError) as error:
        async with started_members(Redis(url, **options)):
            pass
    return str(error.value)


@contextmanager
def nothing_leaks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG):
        yield
    assert "s3cr3t" not in caplog.text


async def test_login_with_a_password(caplog: pytest.LogCaptureFixture) -> None:
    with nothing_leaks(caplog), RedisProcess(password=SECRET) as redis:
        await converse(redis.url)


async def test_login_as_a_user_with_a_password(caplog: pytest.LogCaptureFixture) -> None:
    with nothing_leaks(caplog), RedisProcess(users=["user bob on >s3cr3t " + ALL]) as redis:
        await converse(redis.url_as("bob", "s3cr3t"))


async def test_login_as_a_user_without_a_password() -> None:
    with RedisProcess(users=["user bob on nopass " + ALL]) as redis:
        await converse(redis.url_as("bob", "").replace(":@", "@"))


async def test_login_as_a_user_with_the_documented_rights() -> None:
    needed = "&cw:* -@all +publish +subscribe +unsubscribe +pubsub|numsub +ping"
    with RedisProcess(users=["user bob on >s3cr3t " + needed]) as redis:
        await converse(redis.url_as("bob", "s3cr3t"))


@pytest.mark.parametrize("unix_socket", [False, True])
async def test_login_to_a_database(unix_socket: bool) -> None:
    with RedisProcess(unix_socket=unix_socket) as redis:
        await converse(redis.url + ("?db=3" if unix_socket else "/3"))


async def test_login_over_a_unix_socket() -> None:
    with RedisProcess(unix_socket=True, password=SECRET) as redis:
        await converse(redis.url)


async def test_a_wrong_password_is_a_configuration_error(caplog: pytest.LogCaptureFixture) -> None:
    with nothing_leaks(caplog), RedisProcess(password="right") as redis:
        watch = Stopwatch()
        text = await refusal(redis.url.replace("right", "s3cr3t"))
        assert "WRONGPASS" in text
        assert "s3cr3t" not in text
        assert watch.awake < 1


async def test_a_missing_password_is_a_configuration_error() -> None:
    with RedisProcess(password="right") as redis:
        assert "NOAUTH" in await refusal(redis.url.replace(":right@", ""))


async def test_a_password_for_a_redis_without_one_is_a_configuration_error() -> None:
    with RedisProcess() as redis:
        assert "AUTH" in await refusal(redis.url.replace("//", "//:s3cr3t@"))


async def test_a_missing_database_is_a_configuration_error() -> None:
    with RedisProcess() as redis:
        assert "SELECT" in await refusal(redis.url + "/99")


@pytest.mark.parametrize("lacks", ["-publish", "-subscribe", "resetchannels &other:*"])
async def test_a_user_without_the_right_to_probe_is_a_configuration_error(lacks: str) -> None:
    with RedisProcess(users=[f"user bob on >s3cr3t {ALL} {lacks}"]) as redis:
        text = await refusal(redis.url_as("bob", "s3cr3t"))
        assert "NOPERM" in text
        assert "s3cr3t" not in text


async def test_a_redis_that_refuses_is_an_error_though_the_other_works() -> None:
    with RedisProcess() as one, RedisProcess(password="right") as other, pytest.raises(ConfigError, match="NOAUTH"):
        async with started_members(Redis([one.url, other.url.replace(":right@", "")])):
            pass


async def test_a_redis_that_refuses_later_is_tried_again() -> None:
    with RedisProcess(users=["user bob on >s3cr3t " + ALL]) as redis:
        async with started_members(Redis(redis.url_as("bob", "s3cr3t"))) as (a,):
            redis.command("ACL", "SETUSER", "bob", "resetpass", ">other")
            redis.command("CLIENT", "KILL", "USER", "bob")
            await wait_until(lambda: "WRONGPASS" in str(a.redis.status()[0].last_error))
            assert a.healthy == [False]
            redis.command("ACL", "SETUSER", "bob", ">s3cr3t")
            await wait_until(lambda: a.healthy == [True])


@pytest.mark.parametrize("role", ["pub", "sub"])
async def test_connections_have_the_name_of_their_node(role: str) -> None:
    with RedisProcess() as redis:
        async with started_members(Redis(redis.url)):
            assert f"name=crosswire:node_0:{role} " in redis.command("CLIENT", "LIST")


async def test_a_redis_may_refuse_the_connection_name() -> None:
    with RedisProcess(users=[f"user bob on >s3cr3t {ALL} -client"]) as redis:
        await converse(redis.url_as("bob", "s3cr3t"))


class TestTls:
    certificate: ClassVar[Path]
    url: ClassVar[str]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        binary = next((each for each in servers_here() if RedisProcess.supports_tls(each)), None)
        if binary is None:
            pytest.skip("no server here was built with TLS")
        directory = tmp_path_factory.mktemp("tls")
        tls_contexts(directory)
        cls.certificate = directory / "certificate.pem"
        files = TlsFiles(cls.certificate, directory / "key.pem", cls.certificate)
        with RedisProcess(binary, tls=files) as redis:
            cls.url = redis.url
            yield

    @pytest.mark.parametrize(
        "how", ["ssl_ca_certs={}", "ssl_ca_certs={}&ssl_check_hostname=false", "ssl_cert_reqs=none"]
    )
    async def test_login_over_tls(self, how: str) -> None:
        await converse(f"{self.url}?{how.format(self.certificate)}")

    async def test_the_logs_of_rooms_over_tls(self) -> None:
        async with members(f"{self.url}?ssl_ca_certs={self.certificate}") as (member,):
            room = member.room("1")
            await member.append(room, b"1")
            assert await member.bodies(room) == [b"1"]

    async def test_a_certificate_that_is_not_trusted_is_not_accepted(self) -> None:
        async with started_members(Redis(self.url)) as (a,):
            await wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in str(a.redis.status()[0].last_error))
            assert a.healthy == [False]

    async def test_missing_files_are_a_configuration_error(self) -> None:
        assert "/nowhere" in await refusal(f"{self.url}?ssl_ca_certs=/nowhere")


async def test_another_server_than_redis_is_not_used() -> None:
    class Other(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.Transport, transport)

        def data_received(self, data: bytes) -> None:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            self.transport.close()

    server = await asyncio.get_running_loop().create_server(Other, "127.0.0.1", 0)
    async with server, started_members(Redis(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")) as (a,):
        await wait_until(lambda: "protocol" in str(a.redis.status()[0].last_error))
        assert a.healthy == [False]
