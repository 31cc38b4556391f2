"""The ACL of the documentation is enough for everything that nodes and emitters do, and for nothing else."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crosswire import ConfigError, Node, Redis
from crosswire.emitter.emitter import Emitter
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import RecordingHandler, client, running, running_servers
from tests.support.aio import wait_until

PASSWORD = "correct-horse"
PAGE = Path(__file__).parents[3] / "docs" / "security.md"


def documented_rules() -> list[str]:
    """Return the words of the command in docs/security.md, with a password."""
    (line,) = re.findall(r"^ACL SETUSER crosswire .*(?:\n {2}.*)*", PAGE.read_text(), re.MULTILINE)
    return [f">{PASSWORD}" if word.startswith(">") else word for word in line.split()]


@pytest.fixture(scope="module")
def narrow() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        assert process.command(*documented_rules()) == "OK"
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
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(narrow.url).port)
    writer.write(f"AUTH crosswire {PASSWORD}\r\n{line}\r\n".encode())
    assert await reader.readline() == b"+OK\r\n"
    assert (await reader.readline()).startswith(b"-NOPERM")
    writer.close()
