"""The access log, and the attributes of log records of a server and its node."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from crosswire import ConfigError, EventError, Handshake, Node, Reject, Server, Socket
from crosswire.testing.redis_process import RedisProcess
from tests.integration.server.support import connect, make_server, raw_stream, upgrade_request, url_of
from tests.support.aio import wait_until


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "crosswire")


def access(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "crosswire.access"]


async def test_a_connection_and_its_end_are_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    async with make_server() as server:
        async with connect(server, "13", path="/chat") as peer:
            (start,) = access(caplog)
            (socket,) = server.sockets
            await peer.ws.close(4001, "bye")
        await wait_until(lambda: len(access(caplog)) == 2)
    _, end = access(caplog)
    assert (start.levelname, start.getMessage()) == ("INFO", "user '13' connected from '127.0.0.1' to '/chat'")
    about = {"user": "13", "socket": socket.id, "event": None, "node": "test", "remote": "127.0.0.1"}
    assert {**about, "path": "/chat"}.items() <= start.__dict__.items()
    assert end.getMessage().startswith("the connection of user '13' from '127.0.0.1' ended after 0.")
    assert end.getMessage().endswith(" s: 4001 'bye'")
    assert {**about, "code": 4001, "reason": "bye"}.items() <= end.__dict__.items()
    assert 0 < end.__dict__["duration"] < 60


async def test_no_query_is_in_it_and_nothing_breaks_a_line(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(port=0)
    server.authenticate(lambda handshake: "a\nb")
    async with server, connect(server, path="/a%0Ab?token=sesame"):
        pass
    (start, *_) = access(caplog)
    assert start.getMessage() == r"user 'a\nb' connected from '127.0.0.1' to '/a\nb'"
    assert "sesame" not in caplog.text


async def test_a_client_that_is_refused_after_the_upgrade_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()

    @server.on_connect
    async def refuse(socket: Socket) -> None:
        if socket.user == "14":
            raise Reject(4010, "not you")

    server_of_nobody = Server("nobody", port=0)

    @server_of_nobody.authenticate
    def who(handshake: Handshake) -> str:
        raise Reject(4011, "Auth failure")

    async with server, server_of_nobody, connect(server, "14") as late, connect(server_of_nobody) as early:
        assert (await late.closed()).code == 4010
        assert (await early.closed()).code == 4011
        await wait_until(lambda: len(access(caplog)) == 2)
    lines = {record.getMessage(): record.__dict__["node"] for record in access(caplog)}
    assert lines == {
        "a client from '127.0.0.1' was not let in: 4010 'not you'": "test",
        "a client from '127.0.0.1' was not let in: 4011 'Auth failure'": "nobody",
    }


async def test_behind_a_proxy_and_on_a_unix_socket_the_client_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_server(trusted_proxies=["127.0.0.1"]) as server, raw_stream(server) as raw:
        await raw.request(upgrade_request("/?id=1", x_forwarded_for="203.0.113.9"))
        await wait_until(lambda: access(caplog))
    assert access(caplog)[0].__dict__["remote"] == "203.0.113.9"


@pytest.mark.parametrize("off", ["option", "level"])
async def test_it_can_be_left_out(off: str, caplog: pytest.LogCaptureFixture) -> None:
    if off == "level":
        caplog.set_level(logging.WARNING, "crosswire.access")
    async with make_server(access_log=off != "option") as server, connect(server, "13"):
        pass
    assert access(caplog) == []


def test_the_option_is_true_or_false() -> None:
    with pytest.raises(ConfigError, match="access_log"):
        Server(access_log="no")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def test_records_about_a_client_name_user_socket_event_and_node(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()

    @server.on("fail")
    def fail() -> None:
        raise KeyError("x")

    @server.on("refuse")
    def refuse() -> None:
        raise EventError("no", "not now")

    async with server, connect(server, "13") as peer:
        (socket,) = server.sockets
        for event in ("fail", "refuse", "nothing"):
            await peer.send(event)
        await peer.rest()
    errors = [record.__dict__ for record in caplog.records if record.levelno >= logging.WARNING]
    names = [(each["user"], each["socket"], each["event"], each["node"]) for each in errors]
    assert names == [("13", socket.id, event, "test") for event in ("fail", "refuse", "nothing")]


async def test_records_of_nodes_over_redis_name_the_node(caplog: pytest.LogCaptureFixture) -> None:
    with RedisProcess() as redis:
        async with make_server(redis=redis.url) as server, Node("b", redis=redis.url) as node:
            node.on("fail", lambda: 1 / 0)
            server.cluster.send("fail", to="b")
            await wait_until(lambda: "ZeroDivisionError" in caplog.text)
            redis.kill()
            await wait_until(lambda: not server.cluster.bus_available and not node.bus_available)
    ours = [record for record in caplog.records if record.name.startswith("crosswire.")]
    assert {(each.__dict__["event"], each.__dict__["node"]) for each in ours if each.levelname == "ERROR"} == {
        ("fail", "b")
    }
    by_node = {name: [each for each in ours if each.__dict__["node"] == name] for name in ("test", "b")}
    assert len(ours) == sum(map(len, by_node.values()))
    for records in by_node.values():
        assert any("can't be used" in each.getMessage() for each in records)


async def test_two_servers_of_a_process_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise KeyError("x")

    first, second = Server("a", port=0, access_log=False), Server("b", port=0, access_log=False)
    async with first, second:
        for server in (first, second):
            server.on("fail", fail)
            async with connect(server) as peer:
                await peer.refused("fail")
    errors = [record.__dict__["node"] for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["a", "b"]
    assert url_of(first) != url_of(second)
