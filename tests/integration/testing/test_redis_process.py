from __future__ import annotations

import gc
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from crosswire.cluster.redis.embedded.database import find_server
from crosswire.errors import ConfigError, UsageError
from crosswire.testing import redis_process
from crosswire.testing.redis_process import CommandError, RedisProcess, TlsFiles, servers_here
from crosswire.testing.reserved_port import ReservedPort
from tests.support.certificates import tls_contexts

SERVERS = servers_here()
WITH_TLS = [binary for binary in SERVERS if RedisProcess.supports_tls(binary)]


@pytest.fixture(params=SERVERS, ids=str)
def redis(request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    with RedisProcess(request.param) as server:
        yield server


def connect(server: RedisProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def ping(connection: socket.socket) -> bytes:
    connection.sendall(b"PING\r\n")
    return connection.recv(100)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def directory_of(server: RedisProcess) -> Path:
    return Path(server.command("CONFIG", "GET", "dir")[1])


# What it answers


def test_a_server_for_the_tests_is_installed() -> None:
    assert SERVERS


def test_commands_are_answered_with_decoded_values(redis: RedisProcess) -> None:
    assert redis.command("SET", "key", "värde") == "OK"
    assert redis.command("GET", "key") == "värde"
    assert redis.command("GET", "nothing") is None
    assert redis.command("INCRBY", "number", 41) == 41
    assert redis.command("RPUSH", "list", b"\xff", 1.5) == 2
    assert redis.command("LRANGE", "list", 0, -1) == [b"\xff".decode(errors="surrogateescape"), "1.5"]


def test_subscriptions_can_be_listed(redis: RedisProcess) -> None:
    assert redis.command("PUBSUB", "CHANNELS") == []
    with connect(redis) as subscriber:
        subscriber.sendall(b"SUBSCRIBE room\r\n")
        assert subscriber.recv(100).startswith(b"*3")
        assert redis.command("PUBSUB", "CHANNELS") == ["room"]
        assert redis.command("PUBSUB", "NUMSUB", "room") == ["room", 1]


def test_a_refused_command_raises_what_the_server_said(redis: RedisProcess) -> None:
    with pytest.raises(CommandError, match="unknown command") as caught:
        redis.command("NONSENSE")
    assert caught.value.code == "ERR"


def test_a_server_that_ends_before_it_answers_is_an_oserror(redis: RedisProcess) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - an end or a reset, as the kernel has it
        redis.command("SHUTDOWN", "NOSAVE")


def test_an_answer_of_many_reads_is_whole(redis: RedisProcess) -> None:
    redis.command("SET", "large", "x" * 3_000_000)
    assert redis.command("GET", "large") == "x" * 3_000_000


def test_it_listens_on_loopback_alone_and_saves_nothing(redis: RedisProcess) -> None:
    assert redis.url == f"redis://127.0.0.1:{redis.port}"
    assert redis.command("CONFIG", "GET", "bind")[1] == "127.0.0.1"
    assert redis.command("CONFIG", "GET", "save")[1] == ""
    assert redis.command("CONFIG", "GET", "appendonly")[1] == "no"


# Its life


def test_a_kill_ends_connections_and_a_restart_is_on_the_same_port(redis: RedisProcess) -> None:
    port, pid = redis.port, redis.pid
    with connect(redis) as connection:
        assert ping(connection) == b"+PONG\r\n"
        redis.kill()
        redis.kill()
        assert connection.recv(100) == b""
    assert gone(pid)
    assert not redis.running
    with pytest.raises(ConnectionRefusedError):
        redis.command("PING")
    redis.restart()
    assert (redis.port, redis.command("PING")) == (port, "PONG")
    assert redis.pid != pid


def test_a_restart_ends_a_server_that_runs_or_hangs(redis: RedisProcess) -> None:
    first = redis.pid
    redis.restart()
    second = redis.pid
    redis.pause()
    redis.restart()
    assert gone(first)
    assert gone(second)
    assert redis.command("PING") == "PONG"


def test_a_second_start_changes_nothing(redis: RedisProcess) -> None:
    pid = redis.pid
    redis.start()
    assert redis.pid == pid


def test_a_server_that_ended_by_itself_can_be_started(redis: RedisProcess) -> None:
    with pytest.raises(OSError):  # noqa: PT011
        redis.command("SHUTDOWN", "NOSAVE")
    redis.restart()
    assert redis.command("PING") == "PONG"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can keep a port for another process")
def test_the_port_of_a_killed_server_is_kept_from_others(redis: RedisProcess) -> None:
    redis.kill()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", redis.port))


def test_a_paused_server_accepts_connections_and_answers_after_resume(redis: RedisProcess) -> None:
    with connect(redis) as before:
        redis.pause()
        redis.pause()
        assert redis.running
        with pytest.raises(TimeoutError):
            redis.command("PING", timeout=0.2)
        with connect(redis) as meanwhile:
            meanwhile.sendall(b"PING\r\n")
            redis.resume()
            redis.resume()
            assert meanwhile.recv(100) == b"+PONG\r\n"
        assert ping(before) == b"+PONG\r\n"


def test_a_server_can_be_paused_again(redis: RedisProcess) -> None:
    for _ in range(20):
        redis.pause()
        state = Path(f"/proc/{redis.pid}/stat").read_text().rpartition(")")[2].split()[0]
        redis.resume()
        assert state == "T"


def test_a_stopped_server_has_no_pid_and_can_not_be_paused(redis: RedisProcess) -> None:
    redis.kill()
    redis.resume()
    with pytest.raises(UsageError, match="does not run"):
        redis.pause()
    with pytest.raises(UsageError, match="does not run"):
        _ = redis.pid


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("binary", SERVERS, ids=str)
def test_nothing_is_left_after_the_context(binary: Path, paused: bool) -> None:
    with RedisProcess(binary) as redis:
        pid, directory = redis.pid, directory_of(redis)
        assert directory.stat().st_mode & 0o077 == 0
        if paused:
            redis.pause()
    assert gone(pid)
    assert not directory.exists()
    redis.stop()


@pytest.mark.parametrize("unix_socket", [False, True])
@pytest.mark.parametrize("binary", SERVERS, ids=str)
def test_a_stopped_server_comes_back_where_it_was(binary: Path, unix_socket: bool) -> None:
    with RedisProcess(binary, unix_socket=unix_socket) as redis:
        url, directory = redis.url, directory_of(redis)
        redis.stop()
        assert not directory.exists()
        redis.restart()
        assert (redis.url, redis.command("PING")) == (url, "PONG")
    assert not directory.exists()


def test_a_forgotten_server_is_killed() -> None:
    redis = RedisProcess(SERVERS[0])
    redis.start()
    pid, directory = redis.pid, directory_of(redis)
    del redis
    gc.collect()
    assert gone(pid)
    assert not directory.exists()


def test_a_server_that_runs_when_python_exits_is_killed() -> None:
    script = (
        "import sys; from crosswire.testing.redis_process import RedisProcess\n"
        "redis = RedisProcess(sys.argv[1]); redis.start(); print(redis.pid)"
    )
    done = subprocess.run([sys.executable, "-c", script, SERVERS[0]], capture_output=True, text=True, check=True)
    assert gone(int(done.stdout))


# How it may be set up


@pytest.mark.parametrize("binary", SERVERS, ids=str)
def test_a_password_is_demanded_and_part_of_the_url(binary: Path) -> None:
    password = 'a:/@ "\\#%'
    with RedisProcess(binary, password=password) as redis:
        assert redis.command("PING") == "PONG"
        parts = urlsplit(redis.url)
        assert (parts.username, unquote(parts.password or "")) == ("", password)
        assert (parts.hostname, parts.port) == ("127.0.0.1", redis.port)
        with connect(redis) as stranger:
            assert ping(stranger).startswith(b"-NOAUTH")


@pytest.mark.parametrize("binary", SERVERS, ids=str)
def test_users_have_the_rights_of_their_acl(binary: Path) -> None:
    with RedisProcess(binary, users=["user bob on >pw ~* &* -@all +ping", "user eve off"]) as redis:
        assert redis.command("ACL", "USERS") == ["bob", "default", "eve"]
        assert redis.url_as("bob", "p/w") == f"redis://bob:p%2Fw@127.0.0.1:{redis.port}"
        with connect(redis) as bob:
            bob.sendall(b"AUTH bob pw\r\n")
            assert bob.recv(100) == b"+OK\r\n"
            assert ping(bob) == b"+PONG\r\n"
            bob.sendall(b"GET key\r\n")
            assert bob.recv(100).startswith(b"-NOPERM")


@pytest.mark.parametrize("binary", SERVERS, ids=str)
def test_a_server_can_listen_on_a_unix_socket_only(binary: Path) -> None:
    with RedisProcess(binary, unix_socket=True, password="pw") as redis:
        path = urlsplit(redis.url).path
        assert redis.url == f"unix://:pw@{path}"
        assert redis.port == 0
        assert redis.command("PING") == "PONG"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            assert ping(connection).startswith(b"-NOAUTH")
        redis.kill()
        redis.restart()
        assert redis.command("PING") == "PONG"


def tls_files(directory: Path) -> tuple[TlsFiles, ssl.SSLContext]:
    _, client = tls_contexts(directory)
    certificate = directory / "certificate.pem"
    return TlsFiles(certificate, directory / "key.pem", certificate), client


@pytest.mark.skipif(not WITH_TLS, reason="no server here was built with TLS")
@pytest.mark.parametrize("config", [{}, {"tls-auth-clients": "yes"}], ids=["anyone", "with a certificate"])
def test_a_server_with_tls_refuses_plain_connections(tmp_path: Path, config: dict[str, str]) -> None:
    files, client = tls_files(tmp_path)
    if config:
        client.load_cert_chain(files.certificate, files.key)
    with RedisProcess(WITH_TLS[0], tls=files, password="pw", config=config) as redis:
        assert redis.url == f"rediss://:pw@127.0.0.1:{redis.port}"
        assert redis.command("PING") == "PONG"
        with connect(redis) as plain, client.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            assert ping(connection).startswith(b"-NOAUTH")


@pytest.mark.skipif(WITH_TLS == SERVERS, reason="every server here was built with TLS")
def test_a_server_without_tls_says_so(tmp_path: Path) -> None:
    binary = next(each for each in SERVERS if each not in WITH_TLS)
    with pytest.raises(ConfigError, match=r"(?i)tls"):
        RedisProcess(binary, tls=tls_files(tmp_path)[0]).start()


def test_a_unix_socket_with_tls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no TLS"):
        RedisProcess(unix_socket=True, tls=tls_files(tmp_path)[0])


@pytest.mark.parametrize("binary", SERVERS, ids=str)
def test_the_configuration_adds_to_its_own_and_replaces_it(binary: Path) -> None:
    config = {"client-output-buffer-limit": "pubsub 1mb 2mb 3", "appendonly": "yes", "notify-keyspace-events": ""}
    with RedisProcess(binary, config=config) as redis:
        assert "pubsub 1048576 2097152 3" in redis.command("CONFIG", "GET", "client-output-buffer-limit")[1]
        redis.command("SET", "kept", "yes")
        redis.kill()
        redis.restart()
        assert redis.command("GET", "kept") == "yes"


def test_the_default_is_the_server_that_embedded_uses() -> None:
    with RedisProcess() as redis:
        assert os.path.samefile(f"/proc/{redis.pid}/exe", find_server())


# When it does not start


@pytest.mark.parametrize("binary", SERVERS, ids=str)
def test_a_server_that_does_not_start_says_why_and_leaves_nothing(
    binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    redis = RedisProcess(binary, config={"nonsense": "1"})
    with pytest.raises(ConfigError, match=re.compile("did not start on .*nonsense.*Bad directive", re.DOTALL)):
        redis.start()
    assert not redis.running
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_program_is_an_error_too() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        RedisProcess("/nowhere/redis-server").start()


def other_listener(monkeypatch: pytest.MonkeyPatch, most: int) -> list[socket.socket]:
    """Let somebody listen on the first ports, after they were found free and before the server can."""
    stolen: list[socket.socket] = []

    def reserve_too_late(number: int) -> ReservedPort:
        reserved = ReservedPort(number)
        if len(stolen) < most:
            stolen.append(socket.create_server(("127.0.0.1", reserved.number)))
        return reserved

    monkeypatch.setattr(redis_process, "ReservedPort", reserve_too_late)
    return stolen


@pytest.mark.parametrize("binary", SERVERS, ids=str)
def test_a_port_that_was_taken_is_left_for_another(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stolen = other_listener(monkeypatch, 2)
    with RedisProcess(binary) as redis:
        assert redis.port not in {each.getsockname()[1] for each in stolen}
        assert redis.command("PING") == "PONG"
    assert len(stolen) == 2
    for each in stolen:
        each.close()


def test_a_restart_never_moves_to_another_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisProcess(SERVERS[0]) as redis:
        redis.stop()
        stolen = other_listener(monkeypatch, 1)
        with pytest.raises(ConfigError, match="Address already in use"):
            redis.restart()
        stolen[0].close()
        port = redis.port
        redis.restart()
        assert redis.port == port
