"""Rooms that keep history, under faults that a seed draws: what clients are told of their recovery is true."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from typing import Any, NamedTuple

import pytest

from crosswire import Client, RoomState, Server, Socket
from crosswire.cluster.interface import Bus
from crosswire.core.membership import DEAD_AFTER
from crosswire.testing import Simulation

SERVERS = 3
CLIENTS = 4
ROUNDS = 15
SEEDS = int(os.environ.get("CROSSWIRE_HISTORY_SEEDS", "24"))
"""Simulations that are run; ``make faults`` runs more."""
COMPARISON = 35.0
"""Seconds in which every node has compared what it knows with the logs."""


class Said(NamedTuple):
    """A message in the room: which run of which server said it, and its number there."""

    by: str
    run: int
    number: int


class Story:
    """The course of one simulation.

    Attributes:
        heard: by client, its messages and what it was told of the room, in order.
        last: by run of a server, the number of its last message.
    """

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.runs = 0
        self.alive: dict[str, tuple[Server, int]] = {}
        self.last: dict[tuple[str, int], int] = {}
        self.heard: dict[str, list[Said | RoomState]] = {}

    def make(self, *, name: str, bus: Bus) -> Server:
        server = Server(name, bus=bus)
        server.history("chat", size=500, ttl=300)
        server.authenticate(lambda handshake: str(handshake.query["id"]))

        @server.on("join")
        async def join(socket: Socket) -> None:
            await socket.join("chat", "1")

        self.runs += 1
        self.alive[name] = server, self.runs
        return server

    def client(self, number: int) -> Client:
        name = f"user-{number}"
        servers = [server for server, _ in self.alive.values()]
        client = self.sim.client(servers, f"/?id={name}", name=name, max_interval=3)
        heard = self.heard[name] = []
        client.on("said", lambda data: heard.append(Said(*data)))
        client.on_room(heard.append)
        client.on_open(partial(client.call, "join"))
        return client

    def say(self) -> None:
        """Let each server say something in the room."""
        for name, (server, run) in self.alive.items():
            number = self.last[name, run] = self.last.get((name, run), 0) + 1
            server.room("chat", "1").send("said", Said(name, run, number))

    async def trouble(self, clients: list[Client]) -> None:
        """Do something bad at random, or nothing: to messages and servers, or to the log too."""
        sim, logs, random = self.sim, self.sim.bus.logs, self.sim.random
        kinds = ["hang", "cut off", "save", "older", "empty", "answers", "go on", "go on"] if sim.seed % 2 else []
        what = random.choice(["faults", "calm", "kill", "cut", "cut", *kinds])
        servers = [server for server, _ in self.alive.values()]
        if what == "faults":
            sim.bus.loss, sim.bus.duplicate, sim.bus.reorder = (random.choice([0, 0.02, 0.1]) for _ in range(3))
        elif what == "calm":
            self.calm()
        elif what == "kill":
            await sim.restart(random.choice(servers))
        elif what == "cut":
            sim.cut(random.choice(clients))
        elif what == "hang":
            logs.hang()
        elif what == "cut off":
            logs.cut(random.choice(servers).name)
        elif what == "save":
            logs.save()
        elif what in ("older", "empty"):
            logs.restart(saved=what == "older")
        elif what == "answers":
            logs.answer_loss = 0.1
        else:
            logs.go_on()

    def calm(self) -> None:
        self.sim.bus.loss = self.sim.bus.duplicate = self.sim.bus.reorder = 0


async def scenario(sim: Simulation) -> Story:
    story = Story(sim)
    await sim.servers(SERVERS, story.make)
    clients = [story.client(number) for number in range(CLIENTS)]
    for client in clients:
        await client.connect()
    for _ in range(ROUNDS):
        await story.trouble(clients)
        for _ in range(3):
            story.say()
            await sim.sleep(sim.random.random())
    story.calm()
    sim.bus.logs.answer_loss = 0.0
    sim.bus.logs.go_on()
    await sim.sleep(2 * DEAD_AFTER + COMPARISON)
    for client in clients:
        await client.connect()
    story.say()
    await sim.sleep(2)
    return story


def periods(heard: list[Said | RoomState]) -> list[list[Said]]:
    """Return what a client heard between two times when it was told that it may have missed something."""
    found: list[list[Said]] = [[]]
    for each in heard:
        if isinstance(each, Said):
            found[-1].append(each)
        elif not each.recovered:
            found.append([])
    return found


def check(story: Story, heard: list[Said | RoomState]) -> None:
    """Complain if a client was not told the truth."""
    for period in periods(heard):
        twice = [said for said, count in Counter(period).items() if count > 1]
        assert not twice
    last = periods(heard)[-1]
    for (by, run), number in story.last.items():
        numbers = [said.number for said in last if (said.by, said.run) == (by, run)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True, (by, run, numbers)
        if story.alive[by][1] == run:
            assert numbers, (by, run)
            assert numbers[-1] == number, (by, run)


@pytest.mark.parametrize("first", range(0, SEEDS, 8))
def test_what_clients_are_told_is_true(first: int) -> None:
    recovered: Counter[Any] = Counter()
    for seed in range(first, first + 8):
        story = Simulation(seed).run(scenario)
        for name, heard in story.heard.items():
            states = [each for each in heard if isinstance(each, RoomState)]
            recovered.update(state.recovered for state in states)
            try:
                check(story, heard)
                if seed % 2 == 0:  # the log was always there: so nothing at all is missed
                    assert [state for state in states[1:] if not state.recovered] == []
            except AssertionError as error:
                error.add_note(f"seed {seed}, {name}")
                raise
    assert recovered[True] > 0
    assert recovered[False] > 0, "the faults did nothing"
