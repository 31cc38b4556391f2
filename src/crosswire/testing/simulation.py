"""A cluster with its clients in one process, on a virtual clock, with faults that a seed decides."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, overload
from weakref import WeakKeyDictionary

from crosswire.client.client import Client
from crosswire.cluster.interface import Bus
from crosswire.cluster.node import Node
from crosswire.errors import UsageError
from crosswire.server.server import Server
from crosswire.testing.garbage import collected_on_request
from crosswire.testing.partitions import Partitions
from crosswire.testing.simulated_bus import SimulatedBus
from crosswire.testing.simulated_network import Host, SimulatedNetwork
from crosswire.testing.simulated_process import Process, SimulatedLoop, current_process
from crosswire.testing.trace import Trace, TraceHandler
from crosswire.testing.virtual_clock import BEGIN

T = TypeVar("T")
MemberT_co = TypeVar("MemberT_co", bound=Server | Node, covariant=True)
Member = Server | Node
"""Content of a process of a simulation: a server, or a node without clients."""

TIME_LIMIT = 600.0
"""Seconds of the virtual clock after which a scenario has failed."""
USUAL_DELAY = (0.0, 0.01)
"""Seconds that messages take if nothing else is said: so each seed has an order of its own."""


class MakeMember(Protocol[MemberT_co]):
    """Function of the application that makes a server or a node, to be used by keyword."""

    def __call__(self, *, name: str, bus: Bus) -> MemberT_co:
        """Make one with this name, on this bus."""
        ...


Scenario = Callable[["Simulation"], Awaitable[T]]
"""Code of a test: all that happens in a simulation, and what has to be true then."""


@dataclass(slots=True)
class _Running:
    """A member of the simulation, with what started it."""

    process: Process
    context: Context
    make: Callable[..., Any]
    member: Any


class Simulation:
    """A cluster and its clients on a virtual clock. The same seed gives the same run, each time and everywhere.

    Args:
        seed: decides about delays, faults, and all that Crosswire and the module ``random`` draw; None to draw one.
        time_limit: seconds of the virtual clock that a scenario may take.

    Attributes:
        seed: as given, or drawn.
        random: source of random numbers for the scenario.
        bus: of the cluster, with its faults: ``loss``, ``duplicate``, ``reorder``, ``delay``.
        network: between clients and servers; its fault is ``delay``.
        trace: what happened, line by line.

    Example::

        async def scenario(sim: Simulation) -> None:
            a, b = await sim.servers(2, make_server)
            async with sim.client(a, "/?id=alice") as alice:
                sim.partition([a], [b])
                await sim.sleep(30)
                sim.heal()
                await alice.call("say", {"text": "hello"})

        Simulation(seed=7).run(scenario)
    """

    def __init__(self, seed: int | None = None, *, time_limit: float = TIME_LIMIT) -> None:
        self.seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        self.random = random.Random(f"{self.seed} scenario")
        self.trace = Trace(lambda: self.time)
        self._partitions = Partitions(self._healed)
        self.bus = SimulatedBus(random.Random(f"{self.seed} bus"), self._partitions, self.trace)
        self.network = SimulatedNetwork(random.Random(f"{self.seed} network"), self._partitions, self.trace)
        self.bus.delay = self.network.delay = USUAL_DELAY
        self._time_limit = time_limit
        self._loop: SimulatedLoop | None = None
        self._running: dict[str, _Running] = {}
        self._clients: list[Client] = []
        self._client_names: WeakKeyDictionary[Client, str] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<Simulation seed={self.seed}>"

    # Running

    def run(self, scenario: Scenario[T]) -> T:
        """Run a scenario to its end, stop what it started, and return its result; blocks.

        What it raises is raised, with a note that names the seed and shows the end of the trace.

        Raises:
            UsageError: this simulation has run already.
            TimeoutError: the scenario takes longer than the time limit.
            NothingLeft: the scenario waits for something that never comes.
        """
        if self._loop is not None:
            raise UsageError("a simulation runs once: make another one, with the same seed for the same run")
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._run(scenario)
        with ThreadPoolExecutor(1) as executor:  # in an asynchronous test: it has a loop of its own
            return executor.submit(self._run, scenario).result()

    def _run(self, scenario: Scenario[T]) -> T:
        self._loop = loop = SimulatedLoop(self.seed)
        try:
            with (
                _seeded(self.seed),
                collected_on_request(),
                _traced(self.trace),
                asyncio.Runner(loop_factory=lambda: loop) as runner,
            ):
                try:
                    return runner.run(self._main(scenario))
                finally:
                    self.trace.end()
                    loop.buries = True  # the runner cancels what is left, also that of dead processes
        except BaseException as error:
            error.add_note(f"Simulation(seed={self.seed}) replays this. Its end:\n{self.trace.tail()}")
            raise

    async def _main(self, scenario: Scenario[T]) -> T:
        async with asyncio.timeout(self._time_limit) as limit:
            try:
                result = await scenario(self)
                await self._finish()
            except asyncio.CancelledError:
                if limit.expired():
                    self.trace.add(f"the time limit of {self._time_limit:g} s is over")
                raise
        return result

    async def _finish(self) -> None:
        """Close the clients and stop the members, as at the end of a working day."""
        for client in self._clients:
            await client.close()
        for running in list(self._running.values()):
            if running.process.alive:
                await self._in_process(running.context, running.member.stop)

    @property
    def time(self) -> float:
        """Seconds of the virtual clock since the beginning."""
        return 0.0 if self._loop is None else self._loop.now - BEGIN

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass, for all members and clients."""
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], object], timeout: float = 30) -> None:
        """Let time pass until a condition is true.

        Raises:
            TimeoutError: it is not within ``timeout`` seconds.
        """
        deadline = self.time + timeout
        while not condition():
            if self.time >= deadline:
                raise TimeoutError(f"not true within {timeout:g} s: {condition!r}")
            await asyncio.sleep(0.01)

    # Members and clients

    async def servers(self, count: int, make: MakeMember[Server]) -> list[Server]:
        """Start servers, each in a process of its own; their names are ``server-1``, ``server-2``, ...

        Args:
            count: how many.
            make: the application's function that makes one; called with ``name`` and ``bus``.
        """
        return [await self.server(make) for _ in range(count)]

    async def server(self, make: MakeMember[Server], name: str | None = None) -> Server:
        """Start a server in a process of its own; see :meth:`servers`."""
        started: Server = await self._start(make, name or self._free_name("server"))
        return started

    async def node(self, make: MakeMember[Node], name: str | None = None) -> Node:
        """Start a node without clients in a process of its own."""
        started: Node = await self._start(make, name or self._free_name("node"))
        return started

    def client(
        self, servers: Server | Iterable[Server], target: str = "/", *, name: str | None = None, **options: Any
    ) -> Client:
        """Make a client, to be connected by ``connect`` or ``async with``; each attempt is to one of the servers.

        Args:
            servers: one or several. Those that were restarted later under the same name count as well.
            target: path and query.
            name: for the trace; ``client-1`` and so on without.
            options: of :class:`crosswire.Client`, such as ``params`` and ``headers``.
        """
        names = tuple(each.name for each in ([servers] if isinstance(servers, Server) else servers))
        client = Client(f"ws://{names[0]}{target}", **options)
        name = name or f"client-{len(self._clients) + 1}"
        client.use_connector(partial(self.network.connect, name, names))
        self._clients.append(client)
        self._client_names[client] = name
        return client

    # Faults

    def partition(self, *groups: Iterable[Member | Client], one_way: bool = False) -> None:
        """Let nothing through between groups of servers, nodes and clients.

        Messages between nodes are lost. Those between a client and a server wait for :meth:`heal`, as with TCP, unless
        one of them gives up meanwhile.

        Args:
            groups: two or more.
            one_way: only later groups don't hear earlier ones.
        """
        names = [[self._name(each) for each in group] for group in groups]
        self.trace.add(f"partition{' one way' if one_way else ''}: {' | '.join(', '.join(group) for group in names)}")
        self._partitions.block(names, one_way=one_way)

    def heal(self) -> None:
        """End all partitions: everybody hears everybody again."""
        self.trace.add("heal")
        self._partitions.heal()

    def cut(self, client: Client) -> None:
        """Break a client's connection; both ends are told. The client tries again as it would."""
        self.network.cut(self._client_names[client])

    def kill(self, member: Member) -> None:
        """Kill the process of a server or node: no goodbye, no hook, and nothing of it ever runs again.

        Its clients' connections break. What it has sent before still comes.
        """
        name = self._name(member)
        running = self._running[name]
        if running.member is not member or not running.process.alive:
            raise UsageError(f"{name} is dead already, or was restarted: kill what restart() returned")
        self.trace.add(f"kill {name}")
        running.process.alive = False
        assert self._loop is not None
        self._loop.keep_tasks()
        self.bus.remove(name)
        self.network.kill(name)

    @overload
    async def restart(self, member: Server) -> Server: ...
    @overload
    async def restart(self, member: Node) -> Node: ...
    async def restart(self, member: Any) -> Any:
        """Start a server or node anew under its name, and return the new one; kill the old one first if it lives."""
        name = self._name(member)
        if self._running[name].process.alive:
            self.kill(member)
        return await self._start(self._running[name].make, name)

    # Internals

    async def _start(self, make: Callable[..., Any], name: str) -> Any:
        if name in self._running and self._running[name].process.alive:
            raise UsageError(f"there is a process named {name!r} already")
        self.trace.add(f"start {name}")
        process, context = Process(name), copy_context()
        context.run(current_process.set, process)
        member = context.run(make, name=name, bus=self.bus)
        if member.name != name:
            raise UsageError(f"the function made a server named {member.name!r}: it has to use its argument, {name!r}")
        self._running[name] = _Running(process, context, make, member)
        is_server = isinstance(member, Server)
        await self._in_process(context, partial(member.start, listen=False) if is_server else member.start)
        if is_server:
            self.network.hosts[name] = Host(name, member.acceptor, member.limits, context)
        return member

    async def _in_process(self, context: Context, function: Callable[[], Any]) -> None:
        assert self._loop is not None
        await self._loop.create_task(function(), context=context)

    def _free_name(self, kind: str) -> str:
        return f"{kind}-{sum(name.startswith(f'{kind}-') for name in self._running) + 1}"

    def _name(self, member: Member | Client) -> str:
        return self._client_names[member] if isinstance(member, Client) else member.name

    def _healed(self) -> None:
        self.network.healed()


@contextmanager
def _seeded(seed: int) -> Any:
    """Let the module ``random`` draw from a seed meanwhile."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def _traced(trace: Trace) -> Any:
    """Add warnings and errors of the log to a trace meanwhile."""
    handler = TraceHandler(trace)
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
