"""``crosswire nodes``, ``send`` and ``call``, against two workers and their clients."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from crosswire.testing.redis_process import RedisProcess
from tests.integration.cli.clients import guest, guests_of_all
from tests.integration.cli.program import WAIT_TIMEOUT, Result, crosswire, port_of, serving
from tests.support.aio import wait_until
from tests.support.running_program import RunningProgram

WORKERS = ("web-1", "web-2")
BEFORE = time.time()


class Cluster:
    """Two workers, and the options that name their Redis."""

    def __init__(self, served: RunningProgram, redis: RedisProcess, prefix: str) -> None:
        self.served = served
        self.port = port_of(served)
        self.options = ("--redis", redis.url, "--prefix", prefix)

    def talk(self, *words: str, stdin: str = "") -> Result:
        return crosswire(*words, *self.options, stdin=stdin)

    async def meanwhile(self, *words: str) -> None:
        """Send something while clients listen."""
        assert await asyncio.to_thread(self.talk, *words) == Result(0, "", "")


@pytest.fixture(scope="module")
def cluster(redis: RedisProcess) -> Iterator[Cluster]:
    words = ("app:server", "--workers", "2", "--port", "0", "--redis", redis.url, "--prefix", "talk:")
    with serving(*words) as served:
        yield Cluster(served, redis, "talk:")


async def test_messages_from_every_worker_reach_the_clients_of_all(cluster: Cluster) -> None:
    async with guests_of_all(cluster.port, WORKERS) as guests:
        for worker, speaker in guests.items():
            speaker.client.send("shout", f"from {worker}")
            for listener in guests.values():
                assert await listener.hears() == ("heard", [worker, f"from {worker}"])


# nodes


def test_nodes_lists_the_workers_and_the_redis(cluster: Cluster, redis: RedisProcess) -> None:
    code, out, err = cluster.talk("nodes")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["NODE", "CONNECTIONS", "UP", "INCARNATION"]
    assert [line[0] for line in lines[1:3]] == list(WORKERS)
    assert lines[3:5] == [[], ["REDIS", "HEALTH", "LATENCY", "LAST", "ERROR"]]
    assert lines[5][:2] == [redis.url, "healthy"]
    assert len(lines) == 6


def test_nodes_as_json(cluster: Cluster, redis: RedisProcess) -> None:
    code, out, err = cluster.talk("nodes", "--json")
    assert (code, err) == (0, "")
    shown = json.loads(out)
    assert [node["name"] for node in shown["nodes"]] == list(WORKERS)
    for node in shown["nodes"]:
        assert len(node["incarnation"]) == 16
        assert BEFORE <= node["since"] <= time.time()
        assert isinstance(node["connections"], int)
    assert [(each["url"], each["healthy"], each["last_error"]) for each in shown["redis"]] == [(redis.url, True, None)]


def test_the_environment_names_the_redis(redis: RedisProcess) -> None:
    code, out, err = crosswire("nodes", "--prefix", "nobody:", environment={"CROSSWIRE_REDIS": redis.url})
    assert (code, err) == (0, "")
    assert "(none)" in out
    assert redis.url in out


def test_a_redis_that_is_down_is_shown_as_down(cluster: Cluster, redis: RedisProcess) -> None:
    code, out, err = cluster.talk("nodes", "--redis", "redis://127.0.0.1:1")
    assert (code, err) == (0, "")
    assert "DOWN" in out
    assert "healthy" in out
    assert "web-1" in out


async def test_a_node_that_is_slow_to_answer_a_newcomer_is_not_left_out(redis: RedisProcess) -> None:
    def listening() -> int:
        count: int = redis.command("PUBSUB", "NUMSUB", "slow:a")[1]
        return count

    with serving("app:server", "--port", "0", "--redis", redis.url, "--prefix", "slow:") as served:
        cluster = Cluster(served, redis, "slow:")
        async with guest(cluster.port) as one:
            assert listening() == 1
            os.kill(one.pid, signal.SIGSTOP)
            try:
                asking = asyncio.create_task(asyncio.to_thread(cluster.talk, "call", "web-1", "double", "4"))
                await wait_until(lambda: listening() == 2, WAIT_TIMEOUT)
                await asyncio.sleep(1)
            finally:
                os.kill(one.pid, signal.SIGCONT)
            assert await asking == Result(0, "8\n", "")


# send


@pytest.mark.parametrize(
    "audience",
    [("--everyone",), ("--users", "1,2"), ("--user", "1", "--user", "2"), ("--room", "chat", "lobby")],
    ids=lambda words: words[0],
)
async def test_send_reaches_clients(cluster: Cluster, audience: tuple[str, ...]) -> None:
    async with guest(cluster.port, "1") as one, guest(cluster.port, "2") as two, guest(cluster.port, "3") as other:
        for each in (one, two):
            await each.client.call("join", "lobby")
        await cluster.meanwhile("send", "news", '{"text": "hi"}', *audience)
        heard = [one, two, other] if audience == ("--everyone",) else [one, two]
        assert [await each.hears() for each in heard] == [("news", {"text": "hi"})] * len(heard)
        await cluster.meanwhile("send", "news", "--user", "3")
        assert await other.hears() == ("news", None)  # and nothing before


@pytest.mark.parametrize(
    ("to", "workers"),
    [(("--nodes",), WORKERS), (("--to", "web-2"), WORKERS[1:]), (("--to", "web-1", "--to", "web-2"), WORKERS)],
)
async def test_send_reaches_nodes(cluster: Cluster, to: tuple[str, ...], workers: tuple[str, ...]) -> None:
    async with guests_of_all(cluster.port, WORKERS) as guests:
        await cluster.meanwhile("send", "poke", "5", *to)
        for worker in workers:
            assert await guests[worker].hears() == ("poked", [worker, 5])


def test_data_can_come_from_standard_input(cluster: Cluster) -> None:
    assert cluster.talk("call", "web-1", "double", "-", stdin="21\n") == Result(0, "42\n", "")


# call


def test_call_prints_the_answer(cluster: Cluster) -> None:
    assert cluster.talk("call", "web-2", "double", "4") == Result(0, "8\n", "")


def test_call_all_prints_every_answer(cluster: Cluster) -> None:
    code, out, err = cluster.talk("call", "--all", "double", "4")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"answers": {"web-1": 8, "web-2": 8}, "errors": {}, "missing": []}


def test_call_all_names_nodes_that_refused(cluster: Cluster) -> None:
    code, out, err = cluster.talk("call", "double", "13", "--all")
    assert (code, err) == (1, "")
    refusal = {"code": "unlucky", "message": "not that one"}
    assert json.loads(out) == {"answers": {}, "errors": {"web-1": refusal, "web-2": refusal}, "missing": []}


def test_call_all_names_missing_nodes(cluster: Cluster) -> None:
    code, out, err = cluster.talk("call", "--all", "never", "--timeout", "0.2")
    assert (code, err) == (1, "")
    shown: dict[str, Any] = json.loads(out)
    assert (shown["answers"], shown["errors"], sorted(shown["missing"])) == ({}, {}, list(WORKERS))


# In a cluster with original servers


@pytest.fixture(scope="module")
def mixed(redis: RedisProcess) -> Iterator[Cluster]:
    with serving("app:among_originals", "--redis", redis.url) as served:
        yield Cluster(served, redis, "mixed:")


@pytest.mark.parametrize("audience", [("--everyone",), ("--user", "1"), ("--room", "chat", "lobby")])
async def test_send_reaches_clients_of_a_compat_cluster(mixed: Cluster, audience: tuple[str, ...]) -> None:
    async with guest(mixed.port, "1") as one:
        await one.client.call("join", "lobby")
        await mixed.meanwhile("send", "news", "1", *audience, "--compat", "msgpack")
        assert await one.hears() == ("news", 1)


def test_nodes_of_a_compat_cluster_answer(mixed: Cluster) -> None:
    compat = ("--compat", "msgpack")
    assert mixed.talk("call", "mixed-1", "double", "4", *compat) == Result(0, "8\n", "")
    code, out, err = mixed.talk("call", "--all", "double", "4", *compat)
    assert (code, json.loads(out), err) == (0, {"answers": {"mixed-1": 8}, "errors": {}, "missing": []}, "")


def test_a_node_that_is_no_member_may_be_an_original(mixed: Cluster) -> None:
    assert mixed.talk("send", "x", "--to", "original", "--compat", "msgpack") == Result(0, "", "")
    code, _, err = mixed.talk("call", "original", "x", "--timeout", "0.1", "--compat", "msgpack")
    assert (code, err.partition(":")[0]) == (1, "CALLBACK_TIMEOUT")


@pytest.mark.parametrize("words", [("send", "x", "--everyone"), ("call", "mixed-1", "double", "1")])
@pytest.mark.parametrize("compat", [(), ("--compat", "json")])
def test_another_dialect_than_that_of_the_members_is_refused(
    mixed: Cluster, words: tuple[str, ...], compat: tuple[str, ...]
) -> None:
    code, out, err = mixed.talk(*words, *compat)
    assert (code, out) == (2, "")
    assert err.startswith(
        f"crosswire {words[0]}: node 'mixed-1' would not understand it, as it speaks 'compat-msgpack'; "
        "give --compat msgpack"
    )


def test_nodes_shows_members_of_any_dialect_without_a_warning(mixed: Cluster) -> None:
    for compat in ((), ("--compat", "json")):
        code, out, err = mixed.talk("nodes", *compat)
        assert (code, err) == (0, "")
        assert "mixed-1" in out
    assert "WARNING" not in mixed.served.output


# What goes wrong


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("call", "web-1", "double", "13"), "unlucky: not that one"),
        (("call", "web-1", "nothing"), "NO_HANDLER: "),
        (("call", "web-1", "double", '"x"'), "INVALID_PAYLOAD: "),
        (("call", "web-1", "never", "--timeout", "0.2"), "CALLBACK_TIMEOUT: "),
        (("call", "web-9", "double", "1"), "NODE_GONE: there is no living node 'web-9'"),
        (("send", "poke", "1", "--to", "web-1", "--to", "web-9"), "NODE_GONE: there is no living node 'web-9'"),
    ],
)
def test_a_failure_is_an_exit_code_and_one_line(cluster: Cluster, words: tuple[str, ...], line: str) -> None:
    code, out, err = cluster.talk(*words)
    assert (code, out) == (1, "")
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_an_unreachable_redis_is_reported() -> None:
    code, out, err = crosswire("nodes", "--redis", "redis://127.0.0.1:1")
    assert (code, out) == (1, "")
    assert err.startswith("BUS_UNAVAILABLE: no Redis can be reached: redis://127.0.0.1:1: ")
    assert err.count("\n") == 1


def test_a_reserved_event_is_misuse(cluster: Cluster) -> None:
    code, out, err = cluster.talk("send", "$x", "--nodes")
    assert (code, out) == (2, "")
    assert err.startswith("crosswire send: the event name '$x' is reserved")
