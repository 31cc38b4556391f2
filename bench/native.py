"""Building the C tools of this folder, and running servers and the load generator, each on a core of its own."""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple

from crosswire.testing.redis_process import RedisProcess

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = HERE / "build"
COMPILE = ("cc", "-O2", "-Wall", "-Wextra")
LIBRARIES = {"zlib.h": ("-lz",), "openssl/ssl.h": ("-lssl", "-lcrypto")}
"""Libraries that the load generator uses if their headers are there."""

CROSSWIRE_NODE = (sys.executable, "-m", "bench.peers.adapters.crosswire_node")
"""Command of a Crosswire server, without its options."""
SERVER_CORE = 0
GENERATOR_CORE = 1
START_TIMEOUT = 20.0
"""Seconds that a server has to listen."""
STOP_TIMEOUT = 10.0
"""Seconds that a server has to end after SIGTERM; then it is killed."""


class BenchError(RuntimeError):
    """A tool could not be built, a server did not start, or a run failed."""


class NotInstalled(BenchError):
    """A program or package that is measured is not on this machine."""


class Serving(NamedTuple):
    """Running servers that the load generator connects to.

    Attributes:
        ports: port of the server, or of each of several nodes.
        pids: ids of all processes of the server side, Redis included.
    """

    ports: list[int]
    pids: list[int]


def build(name: str) -> Path:
    """Compile `name`.c unless the program is newer than its sources, and return the program."""
    source, program = HERE / f"{name}.c", BUILD / name
    newest = max(path.stat().st_mtime for path in (source, *HERE.glob("*.h")))
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    BUILD.mkdir(exist_ok=True)
    fresh = BUILD / f"{name}.{os.getpid()}"  # so that nobody runs a program that is half written
    libraries = [flag for header, flags in LIBRARIES.items() if _has_header(header) for flag in flags]
    done = subprocess.run([*COMPILE, "-o", fresh, source, *libraries], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"cannot compile {source.name}:\n{done.stderr}")
    fresh.rename(program)
    return program


def _has_header(header: str) -> bool:
    including = f"#include <{header}>\n"
    done = subprocess.run(["cc", "-E", "-x", "c", "-"], input=including, capture_output=True, text=True, check=False)
    return done.returncode == 0


@contextmanager
def on_core(index: int) -> Iterator[None]:
    """Let processes that are started in this context run on one core, if there are at least two."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        yield
        return
    os.sched_setaffinity(0, {sorted(allowed)[index]})  # a child inherits it, so it never runs elsewhere
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def raise_file_limit() -> None:
    """Let this process and its children open as many connections as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run_loadgen(mode: str, serving: Serving, **options: object) -> dict[str, float]:
    """Run the load generator and return its figures; `half_open=7` stands for `--half-open 7`."""
    (figures,) = run_together(serving, [(mode, options)])
    return figures


def run_together(serving: Serving, loads: Sequence[tuple[str, Mapping[str, object]]]) -> list[dict[str, float]]:
    """Run a load generator for each mode with its options, and return their figures.

    Of several each waits for the others when its clients are there, so that all measure the same time.
    """
    gate = {"gate": 1} if len(loads) > 1 else {}
    with ExitStack() as running:
        with on_core(GENERATOR_CORE):
            processes = [
                running.enter_context(_generator(_loadgen_command(mode, serving, {**options, **gate})))
                for mode, options in loads
            ]
        if gate:
            _open_gate(processes)
        outputs = [process.communicate() for process in processes]  # they end by themselves, at the deadline at last
    failed = [
        errors.strip() or f"loadgen ended with {process.returncode}"
        for process, (_, errors) in zip(processes, outputs, strict=True)
        if process.returncode
    ]
    if failed:
        raise BenchError("; ".join(failed))
    return [json.loads(output) for output, _ in outputs]


def _loadgen_command(mode: str, serving: Serving, options: Mapping[str, object]) -> list[str]:
    settings = {"port": _listed(serving.ports), "server_pid": _listed(serving.pids), "deadline": 60, **options}
    command = [str(build("loadgen")), mode]
    for name, value in settings.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return command


def _generator(command: Sequence[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def _open_gate(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Let load generators begin once all of them are ready; if one has failed the others end, as nobody lets them."""
    ready = [_next_line(process) for process in processes]
    if all(ready):
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()


def _next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


@contextmanager
def serving(
    command: Sequence[str], variables: Mapping[str, str] | None = None, *, killed: bool = False
) -> Iterator[Serving]:
    """Run a server that prints `PORT n` when it listens.

    Args:
        command: its program and arguments.
        variables: what its environment has beside that of this process.
        killed: whether it is killed in the end, which spares the time in which it takes leave of its clients.
    """
    raise_file_limit()
    with on_core(SERVER_CORE):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_environment(variables or {})
        )
    with process:
        try:
            yield Serving([_announced_port(process)], [process.pid])
        finally:
            if killed:
                process.kill()
            else:
                _stop(process)


def epoll_server() -> AbstractContextManager[Serving]:
    """Run the bare epoll loop in C."""
    return serving([str(build("epoll_server"))])


def crosswire_server(*options: str) -> AbstractContextManager[Serving]:
    """Run Crosswire as it is in this checkout."""
    return serving([*CROSSWIRE_NODE, "--name", "A", *options])


def uvicorn_server() -> AbstractContextManager[Serving]:
    """Run uvicorn alone, with the application that shares a port with Crosswire in other runs."""
    return serving([sys.executable, "-m", "bench.servers.uvicorn_server"])


def starlette_room() -> AbstractContextManager[Serving]:
    """Run a room of WebSockets in Starlette, on uvicorn."""
    return serving([sys.executable, "-m", "bench.servers.starlette_room"])


@contextmanager
def crosswire_nodes(count: int, *options: str) -> Iterator[Serving]:
    """Run several Crosswire servers, and their Redis, all on one core."""
    with ExitStack() as processes:
        with on_core(SERVER_CORE):
            redis = processes.enter_context(RedisProcess())
        yield processes.enter_context(nodes_with_redis(redis, count, *options))


@contextmanager
def nodes_with_redis(redis: RedisProcess, count: int, *options: str) -> Iterator[Serving]:
    """Run several Crosswire servers, named A, B and so on, that share a Redis which is running."""
    with ExitStack() as processes:
        command = [*CROSSWIRE_NODE, "--redis", redis.url, *options, "--name"]
        nodes = [processes.enter_context(serving([*command, name])) for name in ascii_uppercase[:count]]
        yield Serving([port for node in nodes for port in node.ports], [redis.pid, *(node.pids[0] for node in nodes)])


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a server, in which this checkout is imported, not an installed package."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **variables}


def _announced_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT)
    words = process.stdout.readline().split() if ready else []
    if len(words) != 2 or words[0] != "PORT":
        raise BenchError(f"{process.args!r} did not say where it listens, but: {' '.join(words) or 'nothing'}")
    return int(words[1])


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    process.kill()  # does nothing to a process that has ended
