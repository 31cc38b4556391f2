from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import crosswire
from crosswire.runtime import environment
from crosswire.runtime.timer_wheel import TimerWheel

SOURCE = Path(crosswire.__file__).parent

REAL = {
    "runtime/environment.py": "is the seam",
    "runtime/watchdog.py": "watches a process whose event loop may be stuck",
    "runtime/shared_metrics.py": "compares the ages of files",
    "cluster/redis/embedded": "starts a process",
    "emitter": "blocks, and has no event loop",
    "cli": "runs processes, and shows the real time",
    "testing/redis_process.py": "starts a process",
    "testing/sentinels.py": "starts processes",
    "testing/bus_member.py": "makes up an id of a node, for any loop",
    "testing/simulation.py": "draws a seed, and seeds the module for the application",
}
"""What reads the clock or the randomness of the machine itself, and why no simulation has to replace it."""

_MODULES = {"time", "random", "secrets"}


def nine() -> Iterator[None]:
    class Nine:
        def monotonic(self) -> float:
            return 9.0

        def wall_time(self) -> float:
            return 90.0

        def random(self) -> float:
            return 0.9

        def urandom(self, count: int) -> bytes:
            return b"9" * count

    restore = environment.replace(Nine())
    yield
    restore()


nine_o_clock = pytest.fixture(nine, name="nine_o_clock")


def reads_machine(tree: ast.Module) -> Iterator[str]:
    """Yield the functions of clocks and randomness that a module imports or calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in _MODULES:
            # A generator that the code makes itself, from a seed, is none of the machine.
            yield from (f"{node.module}.{name.name}" for name in node.names if name.name != "Random")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id in _MODULES and node.attr != "Random") or (node.value.id, node.attr) == ("os", "urandom"):
                yield f"{node.value.id}.{node.attr}"
            elif node.value.id in ("datetime", "date") and node.attr in ("now", "utcnow", "today"):
                yield f"datetime.{node.attr}"
            elif node.value.id == "uuid" and node.attr in ("uuid1", "uuid4"):
                yield f"uuid.{node.attr}"


def test_only_what_needs_the_real_clock_reads_it() -> None:
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        uses = set(reads_machine(ast.parse(path.read_text())))
        if uses and not any(name == each or name.startswith(f"{each}/") for each in REAL):
            found[name] = uses
    assert found == {}


@pytest.mark.parametrize("name", list(REAL))
def test_each_exception_is_one(name: str) -> None:
    path = SOURCE / name
    files = [path] if path.is_file() else list(path.rglob("*.py"))
    assert any(list(reads_machine(ast.parse(each.read_text()))) for each in files)


@pytest.mark.usefixtures("nine_o_clock")
def test_another_environment_is_used_until_it_is_restored() -> None:
    assert (environment.monotonic(), environment.perf_counter(), environment.wall_time()) == (9.0, 9.0, 90.0)
    assert (environment.random(), environment.urandom(2), environment.token_hex(2)) == (0.9, b"99", "3939")


def test_the_environment_of_the_process_is_restored() -> None:
    before = environment.monotonic, environment.perf_counter, environment.wall_time, environment.random
    with contextmanager(nine)():
        assert environment.monotonic is not before[0]
    assert before == (environment.monotonic, environment.perf_counter, environment.wall_time, environment.random)


@pytest.mark.usefixtures("nine_o_clock")
async def test_what_was_made_before_follows_it() -> None:
    wheel = TimerWheel()
    assert wheel.add(_Target(), 1) is wheel.add(_Target(), 1)
    wheel.stop()


class _Target:
    def on_timer(self) -> None: ...
