"""Peers: the servers that are compared, each with the adapter that makes it do the works."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from string import ascii_uppercase

from bench.native import CROSSWIRE_NODE, HERE, SERVER_CORE, Serving, build, on_core, serving
from bench.peers.certificate import certificate
from bench.peers.installed import ORIGINAL_NAME, bun, node, node_environment, npm_package, python
from bench.peers.works import (
    ASK,
    CALLS,
    CONNECT,
    CROSSWIRE_OPTION,
    DEFLATE,
    FANOUT,
    ROOM,
    SAY_IN_ROOM,
    SEVERAL_REDIS,
    SPREAD,
    TELL,
    TLS,
    Setup,
)
from crosswire.testing.redis_process import RedisProcess

ADAPTERS = HERE / "peers" / "adapters"
ALONE = frozenset({FANOUT, CALLS, CONNECT, ROOM})
"""Abilities of a server without others of its kind."""
SPREADING = ALONE | {SPREAD, TELL}
"""Abilities of servers that share messages through Redis."""
OPTIONS = frozenset({SAY_IN_ROOM, TLS, DEFLATE})
"""Abilities of an adapter with rooms and the options --cert, --key and --compression."""
COMPILING = 1.5
"""Seconds of warm-up for programs that are compiled while they run: with a core alone they are at their best then."""
JSON, SOCKET_IO = "json", "socket.io"
"""Dialects of the load generator."""

Start = Callable[[Setup], AbstractContextManager[Serving]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Server that is compared with others.

    Attributes:
        name: short name, for the command line and JSON.
        title: name for tables.
        start: starts its servers, and their Redis.
        dialect: dialect of the load generator that it speaks.
        can: its abilities.
        warmup: seconds that each of its nodes needs at least before it is measured.
        is_variant: whether it is another peer in other circumstances, for some works alone.
    """

    name: str
    title: str
    start: Start
    dialect: str
    can: frozenset[str]
    warmup: float = 0.0
    is_variant: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """Adapter that runs as a process: `PROGRAM --name A --redis URL`, and prints `PORT n` when it listens.

    For a setup with TLS it gets `--cert FILE --key FILE`, for one with compression `--compression`.

    Attributes:
        command: returns the command and its first arguments; raises BenchError if it is not installed.
        environment: returns what its environment has beside this process's.
        always_redis: whether even one server needs a Redis.
    """

    command: Callable[[], Sequence[str]]
    environment: Callable[[], Mapping[str, str]] = dict
    always_redis: bool = False

    @contextmanager
    def start(self, setup: Setup) -> Iterator[Serving]:
        """Run its servers, named A, B and so on, and their Redis, all on one core."""
        command, environment = self.command(), self.environment()
        with ExitStack() as processes:
            with on_core(SERVER_CORE):
                count = max(setup.redis, int(self.always_redis))
                redis = [processes.enter_context(RedisProcess()) for _ in range(count)]
            options = [argument for each in redis for argument in ("--redis", each.url)]
            if setup.tls:
                options += ["--cert", str(certificate().chain), "--key", str(certificate().key)]
            if setup.compression:
                options += ["--compression"]
            nodes = [
                processes.enter_context(serving([*command, "--name", name, *options], environment, killed=True))
                for name in ascii_uppercase[: setup.nodes]
            ]
            yield Serving(
                [port for node in nodes for port in node.ports],
                [*(pid for node in nodes for pid in node.pids), *(each.pid for each in redis)],
            )


def _native(_: Setup) -> AbstractContextManager[Serving]:
    return serving([str(build("epoll_server"))], killed=True)


def _on_node(adapter: str, package: str) -> Start:
    """Run an adapter of an npm package on Node.js."""

    def command() -> Sequence[str]:
        npm_package(package)  # raises if it is not installed
        return [node(), str(ADAPTERS / adapter)]

    return Program(command, node_environment).start


def _on_python(module: str, *, always_redis: bool = False) -> Start:
    """Run an adapter on the Python that has the peers' packages."""
    return Program(lambda: [python(), "-m", f"bench.peers.adapters.{module}"], always_redis=always_redis).start


def _bare_python() -> Sequence[str]:
    return [sys.executable, "-m", "bench.peers.adapters.bare_python"]


def _crosswire(*options: str) -> Start:
    """Run Crosswire, with options of its adapter."""
    return Program(lambda: [*CROSSWIRE_NODE, *options]).start


def _with_option(option: str, title: str) -> Peer:
    """Return Crosswire with an option, for the works that show what it costs."""
    can = frozenset({CROSSWIRE_OPTION})
    return Peer(f"crosswire-{option}", title, _crosswire(f"--{option}"), JSON, can, is_variant=True)


PEERS = [
    Peer(
        "crosswire",
        "Crosswire",
        _crosswire(),
        JSON,
        SPREADING | OPTIONS | {ASK, SEVERAL_REDIS, CROSSWIRE_OPTION},
    ),
    Peer("c", "bare epoll loop in C", _native, JSON, frozenset({FANOUT, CALLS, CONNECT})),
    Peer(
        "python",
        "bare callbacks in Python",
        Program(_bare_python).start,
        JSON,
        frozenset({FANOUT, CALLS, SPREAD, TELL, ASK}),
    ),
    Peer(
        "bun",
        "Bun",
        Program(lambda: [bun(), str(ADAPTERS / "bun_topics.js")], node_environment).start,
        JSON,
        ALONE | OPTIONS,
        COMPILING,
    ),
    Peer("ws", "ws on Node.js", _on_node("ws_room.js", "ws"), JSON, ALONE | OPTIONS, COMPILING),
    Peer(
        "original",
        "websocket-cross-server-adapter",
        _on_node("original.js", ORIGINAL_NAME),
        JSON,
        SPREADING | {ASK, SAY_IN_ROOM},
        COMPILING,
    ),
    Peer(
        "original-cold",
        "the original, still compiling",
        _on_node("original.js", ORIGINAL_NAME),
        JSON,
        frozenset({TELL, ASK}),
        is_variant=True,
    ),
    Peer(
        "socket.io",
        "Socket.IO",
        _on_node("socket_io.js", "socket.io"),
        SOCKET_IO,
        SPREADING | OPTIONS | {ASK},
        COMPILING,
    ),
    Peer(
        "python-socketio", "python-socketio on uvicorn", _on_python("python_socketio"), SOCKET_IO, SPREADING | OPTIONS
    ),
    Peer("websockets", "websockets", _on_python("websockets_room"), JSON, ALONE | OPTIONS),
    Peer("starlette", "Starlette on uvicorn", _on_python("starlette_room"), JSON, ALONE | OPTIONS),
    Peer(
        "channels",
        "Django Channels on uvicorn",
        _on_python("channels_chat", always_redis=True),
        JSON,
        SPREADING | OPTIONS | {SEVERAL_REDIS},
    ),
    _with_option("metrics", "Crosswire with metrics"),
    _with_option("secret", "Crosswire with a secret"),
    _with_option("history", "Crosswire with history"),
    _with_option("asgi", "Crosswire on uvicorn (ASGI)"),
]
"""Peers in the order of the table; Crosswire first."""
