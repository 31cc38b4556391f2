"""What a cluster promises, under loss, doubling, reordering, partitions and deaths that a seed draws.

``find_failing_seed(scenario)`` of :mod:`crosswire.testing` does the same over more seeds; a failure names its seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crosswire import Client, GapInfo, Server, Socket
from crosswire.cluster.interface import Bus
from crosswire.core.membership import DEAD_AFTER
from crosswire.testing import Simulation
from crosswire.testing.virtual_clock import WALL_BEGIN

ROOT = Path(__file__).parents[3]
SERVERS = 3
CLIENTS = 4
ROUNDS = 20
MARGIN = 0.2
"""Seconds: a message that is on its way when a gap is noted was sent before it came."""


class Said(NamedTuple):
    """A message of a server to all others: who sent it, its number, and when."""

    by: str
    number: int
    at: float


class Observed:
    """What one run of a server heard of the others, and the gaps that it was told of."""

    def __init__(self, name: str, began: float) -> None:
        self.name = name
        self.began = began
        self.heard: list[Said] = []
        self.gaps: list[GapInfo] = []
        self.left: list[tuple[str, float]] = []  # who was lost, and when


class Story:
    """The course of one simulation."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.runs: list[Observed] = []
        self.said: list[Said] = []
        self.alive: dict[str, tuple[Server, Observed]] = {}
        self.delivered: dict[str, list[list[Any]]] = {}

    def make(self, *, name: str, bus: Bus) -> Server:
        server, observed = Server(name, bus=bus), Observed(name, self.sim.time)
        server.authenticate(lambda handshake: str(handshake.query["id"]))
        server.cluster.on_gap(observed.gaps.append)
        server.cluster.on_leave(lambda info, reason: observed.left.append((info.name, self.sim.time)))

        @server.on_start
        async def listen() -> None:
            await server.cluster.subscribe("news", lambda sender, data: observed.heard.append(Said(*data)))

        @server.on("join")
        async def join(socket: Socket) -> None:
            await socket.join("chat", "1")

        self.runs.append(observed)
        self.alive[name] = server, observed
        return server

    def client(self, number: int) -> Client:
        sim, name = self.sim, f"user-{number}"
        client = sim.client([server for server, _ in self.alive.values()], f"/?id={name}", name=name, max_interval=3)
        self.delivered[name] = []
        client.on("said", self.delivered[name].append)
        client.on_open(partial(client.call, "join"))
        return client

    def say(self) -> None:
        """Let each server send a message to all others, and one to the room."""
        for name, (server, observed) in self.alive.items():
            said = Said(name, len(self.said), self.sim.time)
            self.said.append(said)
            server.cluster.publish("news", said)
            server.room("chat", "1").send("said", [name, observed.began, said.number])

    def trouble(self) -> None:
        """Do something bad at random, or nothing; messages are lost either one by one, or by partitions."""
        sim, random = self.sim, self.sim.random
        kinds = ["faults", "calm"] if sim.seed % 2 else ["partition", "one way", "heal"]
        what = random.choice([*kinds, "kill", "nothing"])
        servers = [server for server, _ in self.alive.values()]
        random.shuffle(servers)
        if what == "faults":
            sim.bus.loss, sim.bus.duplicate, sim.bus.reorder = (random.choice([0, 0.02, 0.1]) for _ in range(3))
        elif what == "calm":
            self.calm()
        elif what in ("partition", "one way"):
            sim.partition(servers[:1], servers[1:], one_way=what == "one way")
        elif what == "heal":
            sim.heal()
        elif what == "kill" and len(servers) == SERVERS:
            sim.kill(servers[0])
            del self.alive[servers[0].name]

    def calm(self) -> None:
        self.sim.bus.loss = self.sim.bus.duplicate = self.sim.bus.reorder = 0


async def scenario(sim: Simulation) -> Story:
    story = Story(sim)
    servers = await sim.servers(SERVERS, story.make)
    clients = [story.client(number) for number in range(CLIENTS)]
    for client in clients:
        await client.connect()
    for _ in range(ROUNDS):
        story.trouble()
        for _ in range(3):
            story.say()
            await sim.sleep(sim.random.random())
    story.calm()
    sim.heal()
    for server in servers:
        if server.name not in story.alive:
            await sim.restart(server)
    await sim.sleep(2 * DEAD_AFTER)
    story.say()  # a message that is lost shows when the next comes
    await sim.sleep(2)
    for client in clients:
        await client.connect()
    return story


def is_told(story: Story, observed: Observed, said: Said) -> bool:
    """Return whether a server knows that a message may be missing.

    By a gap; or as its sender was lost and did not come back: nobody knows what a node says beyond a broken network
    before it dies. Nor can it be known that messages are missing before the first of a sender on a channel.
    """
    at = WALL_BEGIN + said.at
    first = min((heard.number for heard in observed.heard if heard.by == said.by), default=None)
    if first is None or said.number < first:
        return True
    died = story.alive[said.by][1].began > said.at
    if died and any(name == said.by and left - said.at <= 2 * DEAD_AFTER for name, left in observed.left):
        return True
    return any(gap.since - MARGIN <= at <= gap.until + MARGIN for gap in observed.gaps)


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_the_cluster_keeps_its_promises(first: int) -> None:
    lost = 0
    for seed in range(first, first + 10):
        simulation = Simulation(seed)
        story = simulation.run(scenario_checked)
        for _, observed in story.alive.values():
            heard = Counter(observed.heard)
            assert max(heard.values()) == 1, (seed, "came twice")
            missed = [said for said in story.said if said.at > observed.began + MARGIN and said not in heard]
            assert [said for said in missed if not is_told(story, observed, said)] == [], (seed, observed.name)
            lost += len(missed)
        for got in story.delivered.values():
            assert len({tuple(each) for each in got}) == len(got), (seed, "delivered twice")
            for run in {(by, began) for by, began, _ in got}:
                numbers = [number for by, began, number in got if (by, began) == run]
                assert numbers == sorted(numbers), (seed, "out of order")
    assert lost > 0, "the faults did nothing"


def trace_of(seed: int) -> str:
    simulation = Simulation(seed)
    simulation.run(scenario_checked)
    return str(simulation.trace)


def test_a_seed_gives_the_same_story_in_every_process() -> None:
    program = "from tests.integration.cluster.test_simulated_cluster import trace_of; print(trace_of(29))"
    traces = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-W", "ignore", "-c", program]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        traces.add(done.stdout.rstrip("\n"))
    assert traces == {trace_of(29)}


async def scenario_checked(sim: Simulation) -> Story:
    """Run the scenario, and check what all servers know at its end."""
    story = await scenario(sim)
    names = {f"server-{number + 1}" for number in range(SERVERS)}
    nodes = [server.cluster for server, _ in story.alive.values()]
    assert [set(node.nodes) for node in nodes] == [names] * SERVERS
    runs = [{name: info.incarnation for name, info in node.nodes.items()} for node in nodes]
    assert runs[0] == runs[1] == runs[2]
    for room in "abcdefgh":
        assert len({node.owner("chat", room) for node in nodes}) == 1
    assert (await nodes[0].everyone.count()).total == CLIENTS
    return story
