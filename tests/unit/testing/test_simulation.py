from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crosswire import CallTimeout, Client, Heartbeat, Node, NodeGone, Refused, Reject, Server, Socket
from crosswire.cluster.interface import Bus
from crosswire.errors import NotConnected, UsageError
from crosswire.testing import Simulation
from crosswire.testing.simulation import TIME_LIMIT
from crosswire.testing.virtual_clock import NothingLeft
from crosswire.types import Close

ROOT = Path(__file__).parents[3]


def make_server(*, name: str, bus: Bus) -> Server:
    server = Server(name, bus=bus, heartbeat=Heartbeat(interval=10, timeout=5))

    @server.authenticate
    def who(handshake: Any) -> str:
        if not (user := handshake.query.get("id")):
            raise Reject(status=401)
        return str(user)

    @server.on("join")
    async def join(socket: Socket, room: str) -> None:
        await socket.join("chat", room)

    @server.on("say")
    def say(socket: Socket, text: str) -> str:
        server.room("chat", "1").send("said", {"by": socket.user, "text": text, "key": random.random()})
        return server.name

    return server


def make_node(*, name: str, bus: Bus) -> Node:
    return Node(name, bus=bus)


async def chat(sim: Simulation) -> list[str]:
    """Chat over two servers while all that can happen happens; return what was heard."""
    a, b = servers = await sim.servers(2, make_server)
    heard: list[str] = []
    clients = [sim.client(servers, f"/?id={name}", name=name) for name in ("ann", "bob", "cleo")]
    for client in clients:
        client.on_open(partial(client.call, "join", "1"))
        client.on("said", lambda data: heard.append(data["text"]))
        await client.connect()
    sim.bus.loss = sim.bus.duplicate = sim.bus.reorder = 0.2
    for number in range(10):
        for client in clients:
            if client.latency is not None or number < 5:
                client.send("say", str(number))
        await sim.sleep(sim.random.random())
    sim.partition([a], [b])
    await sim.sleep(5)
    sim.heal()
    sim.cut(clients[0])
    sim.kill(b)
    await sim.sleep(5)
    await sim.restart(b)
    await sim.sleep(20)
    return heard


def trace_of(seed: int) -> str:
    simulation = Simulation(seed)
    simulation.run(chat)
    return str(simulation.trace)


def test_a_seed_gives_the_same_trace_and_another_seed_another() -> None:
    first = trace_of(3)
    occupied = [bytearray(random.randrange(1000)) for _ in range(1000)]  # other addresses, and so other orders of sets
    assert trace_of(3) == first
    assert occupied
    assert trace_of(4) != first


def test_a_seed_gives_the_same_trace_in_every_process() -> None:
    script = "from tests.unit.testing.test_simulation import trace_of; print(trace_of(5))"
    traces = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-W", "ignore", "-c", script]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        traces.add(done.stdout.rstrip("\n"))
    assert traces == {trace_of(5)}


async def everything(sim: Simulation) -> None:
    """Use what asks several nodes, enters several rooms and ends several handlers, with deaths in between."""

    def make(*, name: str, bus: Bus) -> Server:
        server = Server(name, bus=bus, duplicates="allow")
        server.authenticate(lambda handshake: str(handshake.query["id"]))
        server.on_disconnect(lambda socket, close: server.everyone.send("left", socket.user))

        @server.on("join")
        async def join(socket: Socket, count: int) -> None:
            for number in range(count):
                await socket.join("room", f"{socket.user}-{number}")

        @server.on("wait")
        async def wait(socket: Socket, number: int) -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                server.everyone.send("waited", [socket.user, number])

        @server.on("rename")
        async def rename(socket: Socket, user: str) -> None:
            await socket.identify(user)

        return server

    servers = await sim.servers(4, make)
    clients = [sim.client(servers, f"/?id={number % 3}", retry_limit=100) for number in range(6)]
    for client in clients:
        await client.connect()
        await client.call("join", 5)
        for number in range(5):
            client.send("wait", number)
    await sim.sleep(1)
    for server in servers:
        await server.everyone.count()
        await server.room("room", "1-1").members()
        await server.revoke(user="nobody")
    await clients[0].call("rename", "other")
    sim.cut(clients[1])
    sim.partition(servers[:2], servers[2:])
    await sim.sleep(5)
    sim.heal()
    sim.kill(servers[3])
    await sim.sleep(5)
    await sim.restart(servers[3])
    await sim.sleep(30)


def trace_of_everything(seed: int) -> str:
    simulation = Simulation(seed)
    simulation.run(everything)
    return str(simulation.trace)


def test_neither_the_order_of_sets_nor_the_collection_of_garbage_changes_a_trace() -> None:
    program = """
import gc
from tests.unit.testing.test_simulation import trace_of_everything

gc.set_threshold(*{thresholds})
print(trace_of_everything(5))
"""
    traces = set()
    for hash_seed, thresholds in ((1, (0, 0, 0)), (2, (50, 2, 2))):  # garbage is never collected, or often
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        command = [sys.executable, "-W", "ignore", "-c", program.format(thresholds=thresholds)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        traces.add(done.stdout.rstrip("\n"))
    assert traces == {trace_of_everything(5)}


def test_the_trace_names_no_addresses_and_no_numbers_of_the_process() -> None:
    async def scenario(sim: Simulation) -> None:
        logging.getLogger("app").warning("%r in %s", object(), asyncio.create_task(sim.sleep(1)).get_name())

    traces = []
    for _ in range(2):
        simulation = Simulation(1)
        simulation.run(scenario)
        traces.append(str(simulation.trace))
    assert "<object object at 0x...> in Task-" in traces[0]
    assert traces[0] == traces[1]


def test_without_a_seed_one_is_drawn() -> None:
    assert Simulation().seed != Simulation().seed


def test_a_failure_names_the_seed_and_shows_the_end_of_the_trace() -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.server(make_server)
        raise AssertionError("so")

    with pytest.raises(AssertionError, match="so") as failure:
        Simulation(17).run(scenario)
    (note,) = failure.value.__notes__
    assert "Simulation(seed=17)" in note
    assert "start server-1" in note


def test_a_simulation_runs_once() -> None:
    async def scenario(sim: Simulation) -> int:
        return sim.seed

    simulation = Simulation(1)
    assert simulation.run(scenario) == 1
    with pytest.raises(UsageError, match="once"):
        simulation.run(scenario)


def test_a_scenario_that_takes_too_long_or_waits_for_nothing_fails() -> None:
    async def endless(sim: Simulation) -> None:
        await sim.server(make_server)
        await asyncio.Event().wait()

    simulation = Simulation(1)
    with pytest.raises(TimeoutError):
        simulation.run(endless)
    assert simulation.time == pytest.approx(TIME_LIMIT)
    assert "the time limit of 600 s is over" in simulation.trace.tail()

    async def waits(sim: Simulation) -> None:
        await sim.until(lambda: False, timeout=5)

    with pytest.raises(TimeoutError, match="not true within 5 s"):
        Simulation(1).run(waits)


def test_nothing_of_the_machine_is_changed_afterwards() -> None:
    random.seed(0)
    before, handlers = random.getstate(), list(logging.root.handlers)
    trace_of(1)
    assert random.getstate() == before
    assert logging.root.handlers == handlers


def test_ten_minutes_with_two_servers_take_a_moment() -> None:
    async def scenario(sim: Simulation) -> None:
        servers = await sim.servers(2, make_server)
        async with sim.client(servers, "/?id=ann") as client:
            await sim.sleep(590)
            assert await client.call("say", "hello") in ("server-1", "server-2")

    began = time.thread_time()
    Simulation(1).run(scenario)
    assert time.thread_time() - began < 5


# Clients


def test_a_client_is_refused_as_over_a_network() -> None:
    async def scenario(sim: Simulation) -> None:
        server = await sim.server(make_server)
        with pytest.raises(Refused) as refused:
            await sim.client(server).connect()
        assert refused.value.status == 401
        assert server.sockets == ()

    Simulation(1).run(scenario)


def test_parameters_headers_and_subprotocols_reach_the_server() -> None:
    seen: list[Any] = []

    def make(*, name: str, bus: Bus) -> Server:
        server = make_server(name=name, bus=bus)
        server.on_connect(lambda socket: seen.append(socket.handshake))
        return server

    async def scenario(sim: Simulation) -> None:
        server = await sim.server(make)
        options: dict[str, Any] = {"headers": {"X-Colour": "red"}, "subprotocols": ["crosswire.msgpack"]}
        async with sim.client(server, "/there?id=ann", params={"n": 1}, **options) as client:
            assert await client.call("say", "hello") == "server-1"

    Simulation(1).run(scenario)
    (handshake,) = seen
    assert (handshake.path, handshake.query["id"], handshake.query["n"]) == ("/there", "ann", "1")
    assert (handshake.headers["x-colour"], handshake.subprotocol) == ("red", "crosswire.msgpack")
    assert handshake.remote == "10.1.0.1"


def test_the_end_of_a_connection_is_told_to_both_sides() -> None:
    closes: dict[str, Close] = {}

    def make(*, name: str, bus: Bus) -> Server:
        server = make_server(name=name, bus=bus)
        server.on_disconnect(lambda socket, close: closes.update({f"server of {socket.user}": close}))
        server.on("out", lambda socket: socket.close(4000, "out"))
        return server

    async def scenario(sim: Simulation) -> None:
        server = await sim.server(make)
        for name in ("ann", "bob", "cleo"):
            client = sim.client(server, f"/?id={name}", reconnect_policy=lambda close: False)
            client.on_close(partial(closes.__setitem__, f"client of {name}"))
            await client.connect()
            if name == "ann":
                await client.close()
            elif name == "bob":
                client.send("out")
            else:
                sim.cut(client)
            await sim.sleep(1)

    Simulation(1).run(scenario)
    codes = {who: close.code for who, close in closes.items()}
    assert codes == {
        "server of ann": 4001,
        "client of ann": 4001,
        "server of bob": 4000,
        "client of bob": 4000,
        "server of cleo": 1006,
        "client of cleo": 1006,
    }


def test_a_client_that_is_cut_comes_back() -> None:
    async def scenario(sim: Simulation) -> None:
        servers = await sim.servers(2, make_server)
        client = sim.client(servers, "/?id=ann")
        await client.connect()
        for _ in range(5):
            sim.cut(client)
            await sim.until(lambda: client.reconnecting)
            await client.connect()
        assert await client.call("say", "hello")
        await sim.until(lambda: sum(len(server.sockets) for server in servers) == 1)

    Simulation(1).run(scenario)


def test_what_a_client_does_not_read_holds_the_server_back() -> None:
    async def scenario(sim: Simulation) -> None:
        server = await sim.server(make_server)
        release = asyncio.Event()
        client = sim.client(server, "/?id=ann")
        client.on_open(release.wait)  # events wait until it has ended, up to a limit
        client.on("said", got.append)
        connecting = asyncio.create_task(client.connect())
        await sim.until(lambda: server.sockets)
        (socket,) = server.sockets
        for number in range(30):
            socket.send("said", "x" * 60_000 + str(number))
            await sim.sleep(0.05)
        assert socket.buffered > 0
        release.set()
        await connecting
        await sim.until(lambda: len(got) == 30)
        assert socket.buffered == 0

    got: list[str] = []
    Simulation(1).run(scenario)
    assert [int(text.lstrip("x")) for text in got] == list(range(30))


# Partitions


def test_servers_that_are_apart_lose_each_other_and_come_together_again() -> None:
    left: list[tuple[str, str]] = []

    def make(*, name: str, bus: Bus) -> Server:
        server = make_server(name=name, bus=bus)
        server.cluster.on_leave(lambda info, reason: left.append((name, info.name)))
        return server

    async def scenario(sim: Simulation) -> None:
        a, b, c = await sim.servers(3, make)
        sim.partition([a], [b, c])
        await sim.sleep(5)
        assert set(a.cluster.nodes) == {"server-1"}
        assert set(b.cluster.nodes) == set(c.cluster.nodes) == {"server-2", "server-3"}
        with pytest.raises(NodeGone):
            await a.cluster.call("server-2", "x")
        sim.heal()
        await sim.sleep(5)
        assert len(a.cluster.nodes) == len(b.cluster.nodes) == len(c.cluster.nodes) == 3

    Simulation(1).run(scenario)
    assert sorted(left) == [
        *[("server-1", name) for name in ("server-2", "server-3")],
        ("server-2", "server-1"),
        ("server-3", "server-1"),
    ]


def test_one_way_means_that_only_the_later_group_is_deaf() -> None:
    async def scenario(sim: Simulation) -> None:
        a, b = await sim.node(make_node), await sim.node(make_node)
        sim.partition([a], [b], one_way=True)
        await sim.sleep(5)
        assert (len(a.nodes), len(b.nodes)) == (2, 1)

    Simulation(1).run(scenario)


def test_a_client_that_is_apart_gets_what_waited_for_it() -> None:
    async def scenario(sim: Simulation) -> None:
        server = await sim.server(make_server)
        got: list[Any] = []
        client = sim.client(server, "/?id=ann", pong_timeout=60)
        client.on("news", got.append)
        await client.connect()
        sim.partition([client], [server])
        server.user("ann").send("news", 1)
        calling = asyncio.create_task(client.call("say", "hello"))
        await sim.sleep(3)
        assert got == []
        sim.heal()
        assert await calling == "server-1"
        assert got == [1]

    Simulation(1).run(scenario)


def test_a_client_that_is_apart_for_too_long_is_dropped_by_both() -> None:
    async def scenario(sim: Simulation) -> None:
        server = await sim.server(make_server)
        client = sim.client(server, "/?id=ann")
        await client.connect()
        sim.partition([client], [server])
        await sim.until(lambda: client.reconnecting, timeout=15)
        await sim.until(lambda: not server.sockets, timeout=30)
        sim.heal()
        await client.connect()
        await sim.sleep(1)
        assert len(server.sockets) == 1

    Simulation(1).run(scenario)


# Death


def test_a_killed_server_says_nothing_and_does_nothing_any_more() -> None:
    done: list[str] = []

    def make(*, name: str, bus: Bus) -> Server:
        server = make_server(name=name, bus=bus)
        server.on_disconnect(lambda socket: done.append("on_disconnect"))
        server.on_stop(lambda: done.append("on_stop"))

        @server.on("slow")
        async def slow(socket: Socket) -> None:
            try:
                done.append("begun")
                await asyncio.sleep(1)
                done.append("ended")
            except BaseException:
                done.append("cancelled")
                raise

        @server.on_start
        async def count() -> None:
            asyncio.get_running_loop().call_later(3, done.append, "timer")

        return server

    async def scenario(sim: Simulation) -> list[str]:
        a = await sim.server(make_server)
        b = await sim.server(make)
        left: list[str] = []
        a.cluster.on_leave(lambda info, reason: left.append(info.name))
        closes: list[Close] = []
        client = sim.client(b, "/?id=ann", retry_limit=3)
        client.on_close(closes.append)
        await client.connect()
        client.send("slow")
        await sim.until(lambda: done)
        sim.kill(b)
        await sim.sleep(0.1)
        assert [close.code for close in closes] == [1006]
        await sim.sleep(60)
        assert left == ["server-2"]
        with pytest.raises(NotConnected):
            await client.connect()
        with pytest.raises(UsageError, match="dead"):
            sim.kill(b)
        return list(done)

    assert Simulation(1).run(scenario) == ["begun"]


def test_a_killed_server_does_nothing_even_when_it_becomes_garbage() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("begun")
        try:
            await asyncio.sleep(1)
        finally:
            done.append("cleaned up")

    def make(*, name: str, bus: Bus) -> Node:
        node = Node(name, bus=bus)
        node.on_start(lambda: asyncio.ensure_future(work()))
        return node

    async def scenario(sim: Simulation) -> list[str]:
        node = await sim.node(make)
        await sim.until(lambda: done)
        sim.kill(node)
        await sim.sleep(60)
        gc.collect()
        assert "destroyed" not in str(sim.trace)
        return list(done)

    assert Simulation(1).run(scenario) == ["begun"]


def test_a_server_that_is_restarted_is_another_run_of_the_same_name() -> None:
    made: list[Server] = []

    def make(*, name: str, bus: Bus) -> Server:
        made.append(make_server(name=name, bus=bus))
        return made[-1]

    async def scenario(sim: Simulation) -> None:
        a, b = await sim.servers(2, make)
        client = sim.client(b, "/?id=ann")
        await client.connect()
        before = a.cluster.nodes["server-2"].incarnation
        again = await sim.restart(b)
        assert made == [a, b, again]
        assert again is not b
        await sim.until(lambda: a.cluster.nodes["server-2"].incarnation != before)
        await client.connect()
        assert [socket.user for socket in again.sockets] == ["ann"]

    Simulation(1).run(scenario)


def test_a_call_to_a_server_that_dies_fails_at_once_when_its_death_is_noticed() -> None:
    async def scenario(sim: Simulation) -> None:
        a, b = await sim.node(make_node), await sim.node(make_node)
        b.on("wait", lambda sender, data: asyncio.sleep(100))
        call = asyncio.create_task(a.call("node-2", "wait", timeout=60))
        await sim.sleep(1)
        sim.kill(b)
        began = sim.time
        with pytest.raises((NodeGone, CallTimeout)):
            await call
        assert sim.time - began < 5

    Simulation(1).run(scenario)


def test_a_function_must_use_the_name_that_it_is_given() -> None:
    async def scenario(sim: Simulation) -> None:
        await sim.server(lambda *, name, bus: Server("other", bus=bus))

    with pytest.raises(UsageError, match="other"):
        Simulation(1).run(scenario)


def test_hooks_of_the_stop_run_at_the_end_and_what_they_raise_fails_the_run() -> None:
    def make(*, name: str, bus: Bus) -> Server:
        server = make_server(name=name, bus=bus)

        @server.on_stop
        def stop() -> None:
            raise LookupError(name)

        return server

    async def scenario(sim: Simulation) -> None:
        await sim.server(make)

    with pytest.raises(LookupError, match="server-1"):
        Simulation(1).run(scenario)


def test_a_scenario_may_not_wait_for_what_never_comes() -> None:
    async def scenario(sim: Simulation) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises((NothingLeft, TimeoutError)):
        Simulation(1).run(scenario)


def test_a_client_is_an_ordinary_one() -> None:
    async def scenario(sim: Simulation) -> None:
        server = await sim.server(make_server)
        assert isinstance(sim.client(server), Client)

    Simulation(1).run(scenario)


async def test_it_runs_inside_an_asynchronous_test_as_well() -> None:
    simulation = Simulation(3)
    simulation.run(chat)
    assert str(simulation.trace) == trace_of(3)
