"""The ACL of the documentation is enough for everything that nodes and emitters do, and for nothing else."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crosswire import ConfigError, Node, Redis
from crosswire.cluster.log.interface import AppendFailure
from crosswire.emitter.emitter import Emitter
from crosswire.testing.log_member import AppendFailed, LogMember
from crosswire.testing.redis_process import RedisProcess, servers_here
from tests.integration.cluster.history.support import history_nodes
from tests.integration.cluster.support import RecordingHandler, client, running, running_servers
from tests.support.aio import wait_until

PASSWORD = "correct-horse"
PAGE = Path(__file__).parents[3] / "docs" / "security.md"


def documented_rules() -> list[list[str]]:
    """Return the words of the commands in docs/security.md, with a password: without history, and what it needs."""
    lines = re.findall(r"^ACL SETUSER crosswire .*(?:\n {2}.*)*", PAGE.read_text(), re.MULTILINE)
    return [[f">{PASSWORD}" if word.startswith(">") else word for word in line.split()] for line in lines]


@pytest.fixture(scope="module")
def narrow() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        rules, _for_history = documented_rules()
        assert process.command(*rules) == "OK"
        yield process


@pytest.fixture(scope="module", params=servers_here(), ids=lambda path: path.name)
def narrow_with_history(request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    with RedisProcess(request.param) as process:
        for rules in documented_rules():
            assert process.command(*rules) == "OK"
        yield process


async def test_nodes_need_no_more_than_the_documented_rights(
    narrow: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    bus = Redis(narrow.url_as("crosswire", PASSWORD), secret="a secret of 16 bytes")
    async with running_servers(bus, "a", "b") as (a, b), client(a, "1") as peer:
        await peer.call("join", ["chat", "r"])
        orders = RecordingHandler()
        await a.cluster.subscribe("orders", orders)
        b.room("chat", "r").send("x", 1)
        b.user("1").send("x", 2)
        b.everyone.send("x", 3)
        b.cluster.publish("orders", 4)
        assert {(await peer.receive("x")).data for _ in range(3)} == {1, 2, 3}
        await wait_until(lambda: orders.calls)
        assert await b.room("chat", "r").count() == 1
        assert not (await b.cluster.status()).missing
        with pytest.raises(ConfigError):
            await Node("a", bus=bus).start()
        with Emitter(bus) as emitter:
            await asyncio.to_thread(emitter.user("1").send, "x", 5)
            assert await asyncio.to_thread(emitter.user("1").count) == 1
        assert (await peer.receive("x")).data == 5
        await peer.call("leave", ["chat", "r"])
        async with running(Node("c", bus=bus)):
            await wait_until(lambda: "c" in a.cluster.nodes)
        await wait_until(lambda: "c" not in a.cluster.nodes)
        assert [status.last_error for status in a.cluster.redis.status()] == [None]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    log = narrow.command("ACL", "LOG")
    denied = {entry[entry.index("object") + 1] for entry in log} if log else set()
    assert denied <= {"client|setinfo"}  # redis-py tells its version, and does without


FORBIDDEN = [
    "GET x",
    "SET x 1",
    "KEYS *",
    "CONFIG GET *",
    "FLUSHALL",
    "EVAL return 0",
    "ACL LIST",
    "CLIENT LIST",
    "PUBSUB CHANNELS",
    "PUBLISH other:a x",
    "SUBSCRIBE other:a",
    "PSUBSCRIBE *",
    "SHUTDOWN",
]


@pytest.mark.parametrize("line", FORBIDDEN)
async def test_the_documented_rights_allow_nothing_else(narrow: RedisProcess, line: str) -> None:
    await require_refusal(narrow, line)


async def require_refusal(narrow: RedisProcess, line: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(narrow.url).port)
    writer.write(f"AUTH crosswire {PASSWORD}\r\n{line}\r\n".encode())
    assert await reader.readline() == b"+OK\r\n"
    assert (await reader.readline()).startswith(b"-NOPERM")
    writer.close()


@asynccontextmanager
async def log_member(redis: RedisProcess) -> AsyncIterator[LogMember]:
    member = LogMember(Redis(redis.url_as("crosswire", PASSWORD)), "a")
    try:
        await member.start()
        yield member
    finally:
        await member.stop()


async def test_a_log_needs_no_more_than_the_documented_rights(narrow_with_history: RedisProcess) -> None:
    async with log_member(narrow_with_history) as member:
        room = member.room("1", size=5, ttl=0.2)
        await member.listen(room)
        await member.append(room, member.message(b"1", "id"), member.message(b"2", "id"), b"3")
        await member.append(room, b"4", new_epoch=True, settling=0.001)
        for number in range(100):  # more senders than are remembered, and longer than a message lives
            await asyncio.wait_for(member.begin(room, member.message(b"x"), origin=b"%08d" % number), 5)
            await asyncio.sleep(0.003)
        assert len((await member.log.read_before(room, None, 2)).records) <= 2
        assert await member.log.last_positions([room]) == [(await member.log.read(room)).last]
    log = narrow_with_history.command("ACL", "LOG")
    assert [entry[entry.index("object") + 1] for entry in log] == []


async def test_an_emitter_needs_no_more_for_rooms_that_keep_history(narrow_with_history: RedisProcess) -> None:
    narrow_with_history.command("ACL", "LOG", "RESET")
    bus = Redis(narrow_with_history.url_as("crosswire", PASSWORD))
    async with history_nodes(bus, "a") as (a,):
        await a.join("chat", "1")
        await wait_until(lambda: narrow_with_history.command("HLEN", "cw:h") > 1)
        with Emitter(bus) as emitter:
            position = await asyncio.to_thread(emitter.room("chat", "1").publish, "said", 1)
        await a.wait_for("chat", "1", 1)
        assert a.positions("chat", "1") == [position]
    log = narrow_with_history.command("ACL", "LOG")
    assert {entry[entry.index("object") + 1] for entry in log} <= {"client|setinfo"}


async def test_an_emitter_without_these_rights_sends_all_the_same_and_warns_once(
    narrow: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    bus = Redis(narrow.url_as("crosswire", PASSWORD))
    async with running_servers(bus, "a") as (a,), client(a, "1") as peer:
        await peer.call("join", ["chat", "r"])
        with Emitter(bus) as emitter:
            for number in range(3):
                await asyncio.to_thread(emitter.room("chat", "r").send, "x", number)
        assert [(await peer.receive("x")).data for _ in range(3)] == [0, 1, 2]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "docs/security.md" in warnings[0]
    narrow.command("ACL", "LOG", "RESET")


async def test_the_rights_for_history_allow_no_other_keys(narrow_with_history: RedisProcess) -> None:
    for line in [*FORBIDDEN, "DEL cw:other", "SCRIPT FLUSH", "HGETALL other"]:
        await require_refusal(narrow_with_history, line)


async def test_a_log_does_not_start_without_its_rights(narrow: RedisProcess) -> None:
    member = LogMember(Redis(narrow.url_as("crosswire", PASSWORD)), "a")
    await member.port.start()
    with pytest.raises(ConfigError, match=r"can't keep the history of rooms: NOPERM.*docs/security\.md"):
        await member.log.start()
    await member.port.stop()


async def test_an_append_without_its_rights_is_refused(narrow_with_history: RedisProcess) -> None:
    narrow_with_history.command("ACL", "SETUSER", "crosswire", "-xadd")
    try:
        async with log_member(narrow_with_history) as member:
            room = member.room("2")
            with pytest.raises(AppendFailed) as failed:
                await member.append(room, b"1")
            assert failed.value.failure is AppendFailure.REFUSED
            assert not (await member.log.read(room)).records
    finally:
        narrow_with_history.command("ACL", "SETUSER", "crosswire", "+xadd")
