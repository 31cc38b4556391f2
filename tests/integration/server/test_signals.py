"""Signals while ``run()`` starts and stops something whose hooks hang, in processes of their own."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crosswire.testing.redis_process import RedisProcess
from tests.support.running_program import RunningProgram

INT, TERM = signal.SIGINT, signal.SIGTERM
EXIT_TIMEOUT = 25.0
"""Seconds for what takes a part of one, on a machine that is busy."""

PROGRAM = """
import asyncio, contextlib, multiprocessing, signal, sys, threading, time
from crosswire import Node, Server

kind, when, how, redis = sys.argv[1:]
options = {"redis": redis} if redis else {}
service = Node("it", **options) if kind == "node" else Server("it", port=0, **options)

async def waits():
    await asyncio.sleep(600)

def blocks():
    while True:
        time.sleep(600)

async def blocks_later():
    await asyncio.sleep(0)
    blocks()

# A signal that another thread takes does not interrupt a system call of the main thread. Nor does one that comes just
# before that call begins, which can't be made to happen at will.
def blocks_while_another_thread_takes_signals():
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    print("blocked", flush=True)
    blocks()

async def uses_a_thread():
    await asyncio.to_thread(time.sleep, 600)

async def is_stubborn():
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)

def is_very_stubborn():
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(600)

def cleans_up_in_its_own_time():
    try:
        blocks()
    finally:
        time.sleep(0.25)
        print("cleaned up", flush=True)

def exits():
    sys.exit(3)

async def exits_later():
    await asyncio.sleep(0)
    sys.exit(3)

def tells(runs):
    runs.set()
    time.sleep(60)

async def forks():
    fork = multiprocessing.get_context("fork")
    runs = fork.Event()
    child = fork.Process(target=tells, args=(runs,))
    child.start()
    await asyncio.to_thread(runs.wait)
    child.terminate()
    await asyncio.to_thread(child.join, 20)
    print("the child ended with", child.exitcode, flush=True)
    child.kill()

background = set()

async def leaves_a_stubborn_task():
    background.add(asyncio.create_task(is_stubborn(), name="mine"))
    await asyncio.sleep(0)

async def cleans_up():
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.05)
        print("cleaned up", flush=True)

async def fails_when_cancelled():
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        raise OSError("it can't be undone") from None

@getattr(service, when)
def begins():
    print(when, "began", flush=True)

getattr(service, when)(globals()[how])

if when == "on_stop":
    service.on_stop(lambda: print("another on_stop", flush=True))

    @service.on_stop
    async def last():
        print("the last on_stop", flush=True)

if when == "on_listening":
    @service.on_stop
    def takes_its_time():
        time.sleep(0.6)
        print("on_stop took its time", flush=True)

async def tells_when_it_runs():
    while not service.running:
        await asyncio.sleep(0.01)
    print("it runs", flush=True)

@service.on_start
async def last_on_start():
    background.add(asyncio.create_task(tells_when_it_runs(), name="tells"))

if when != "on_stop":
    service.on_stop(lambda: print("on_stop ran", flush=True))

service.run(drain=600)
print("after run", flush=True)
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


@contextmanager
def running(kind: str, when: str, how: str, redis: str = "") -> Iterator[RunningProgram]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, kind, when, how, redis]
    watched = RunningProgram(command, cwd=Path.cwd(), environment=None)
    try:
        yield watched
    finally:
        watched.stop()


def exit_code_soon(watched: RunningProgram) -> int:
    """Wait for its end, which must not take long, and return the exit code."""
    began = time.monotonic()
    code = watched.wait()
    assert time.monotonic() - began < EXIT_TIMEOUT, watched.output
    return code


KINDS = pytest.mark.parametrize("kind", ["server", "node"])


@KINDS
@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("how", ["waits", "blocks", "blocks_later", "cleans_up"])
def test_the_first_signal_ends_a_start(kind: str, how: str, number: signal.Signals) -> None:
    with running(kind, "on_start", how) as it:
        it.wait_for("on_start began")
        it.signal(number)
        assert exit_code_soon(it) == 0
        assert it.output.endswith("after run\n")
        assert "Traceback" not in it.output
        assert "on_stop ran" not in it.output
        assert ("cleaned up" in it.output) is (how == "cleans_up")


@KINDS
@pytest.mark.parametrize("number", [INT, TERM])
def test_the_first_signal_ends_a_start_that_blocks_the_main_thread(kind: str, number: signal.Signals) -> None:
    with running(kind, "on_start", "blocks_while_another_thread_takes_signals") as it:
        it.wait_for("blocked")
        it.signal(number)
        assert exit_code_soon(it) == 0
        assert it.output.endswith("after run\n")
        assert "Traceback" not in it.output


@pytest.mark.parametrize("how", ["uses_a_thread", "is_stubborn", "is_very_stubborn"])
def test_the_first_signal_ends_a_start_that_can_not_be_cancelled(how: str) -> None:
    with running("server", "on_start", how) as it:
        it.wait_for("on_start began")
        it.signal(TERM)
        assert exit_code_soon(it) == 128 + TERM
        assert "exits" in it.output


def test_a_second_signal_ends_such_a_start_at_once() -> None:
    with running("node", "on_start", "is_stubborn") as it:
        it.wait_for("on_start began")
        it.signal(INT)
        it.signal(INT)
        assert exit_code_soon(it) in (0, 128 + INT)


def test_a_start_that_fails_when_it_is_cancelled_ends_too() -> None:
    with running("server", "on_start", "fails_when_cancelled") as it:
        it.wait_for("on_start began")
        it.signal(INT)
        assert exit_code_soon(it) == 0
        assert "it can't be undone" in it.output


@KINDS
def test_a_cancelled_start_leaves_the_cluster(kind: str, redis: RedisProcess) -> None:
    with running(kind, "on_start", "waits", redis.url) as it:
        it.wait_for("on_start began")
        assert redis.command("PUBSUB", "CHANNELS", "cw:*")
        it.signal(TERM)
        assert exit_code_soon(it) == 0
        assert redis.command("PUBSUB", "CHANNELS", "cw:*") == []


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_ends_a_start_that_waits_for_redis(number: signal.Signals, redis: RedisProcess) -> None:
    redis.pause()
    try:
        with running("server", "on_start", "waits", redis.url) as it:
            it.wait_for("")
            time.sleep(0.5)
            it.signal(number)
            assert exit_code_soon(it) in (0, -number)  # it may not have come as far as to hear of it
    finally:
        redis.resume()


@KINDS
@pytest.mark.parametrize("second", [INT, TERM])
@pytest.mark.parametrize("how", ["waits", "blocks", "blocks_later", "cleans_up"])
def test_a_second_signal_ends_a_stop(kind: str, how: str, second: signal.Signals) -> None:
    with running(kind, "on_stop", how) as it:
        it.wait_for("^it runs")
        it.signal(TERM)
        it.wait_for("on_stop began")
        it.signal(second)
        assert exit_code_soon(it) == 0
        for hook in ("on_stop began", "another on_stop", "the last on_stop"):
            assert it.output.count(hook) == 1
        assert it.output.endswith("after run\n")


@KINDS
@pytest.mark.parametrize("second", [INT, TERM])
def test_a_second_signal_ends_a_stop_that_blocks_the_main_thread(kind: str, second: signal.Signals) -> None:
    with running(kind, "on_stop", "blocks_while_another_thread_takes_signals") as it:
        it.wait_for("^it runs")
        it.signal(TERM)
        it.wait_for("blocked")
        it.signal(second)
        assert exit_code_soon(it) == 0
        assert it.output.count("another on_stop") == 1
        assert it.output.endswith("after run\n")


@pytest.mark.parametrize("how", ["uses_a_thread", "is_stubborn", "is_very_stubborn"])
def test_a_second_signal_ends_a_stop_that_can_not_be_cancelled(how: str) -> None:
    with running("server", "on_stop", how) as it:
        it.wait_for("^it runs")
        it.signal(TERM)
        it.wait_for("on_stop began")
        it.signal(INT)
        assert exit_code_soon(it) == 128 + TERM


@KINDS
def test_a_task_of_the_application_that_does_not_end_does_not_keep_the_process(kind: str) -> None:
    with running(kind, "on_start", "leaves_a_stubborn_task") as it:
        it.wait_for("^it runs")
        it.signal(INT)
        assert exit_code_soon(it) == 128 + INT
        assert "on_stop ran" in it.output
        assert "keep the process from ending: mine" in it.output


@pytest.mark.parametrize("how", ["waits", "blocks"])
def test_on_listening_that_hangs_does_not_hold_up_a_stop(how: str) -> None:
    with running("server", "on_listening", how) as it:
        it.wait_for("on_listening began")
        it.signal(TERM)
        assert exit_code_soon(it) == 0
        assert "on_stop took its time" in it.output  # nothing hurries it
        assert "on_stop ran" in it.output
        assert "ERROR" not in it.output


@pytest.mark.parametrize("when", ["on_start", "on_stop"])
def test_a_cancelled_hook_has_time_to_clean_up(when: str) -> None:
    with running("server", when, "cleans_up_in_its_own_time") as it:
        if when == "on_stop":
            it.wait_for("listening on")
            it.signal(TERM)
        it.wait_for(f"{when} began")
        it.signal(INT)
        assert exit_code_soon(it) == 0
        assert "cleaned up" in it.output


@KINDS
@pytest.mark.parametrize("how", ["exits", "exits_later"])
def test_an_exit_in_on_start_ends_the_process_silently(kind: str, how: str) -> None:
    with running(kind, "on_start", how) as it:
        it.wait_for("on_start began")
        assert exit_code_soon(it) == 3
        assert it.output == "on_start began\n"


@pytest.mark.parametrize("how", ["exits", "exits_later"])
def test_an_exit_while_the_server_runs_stops_it_first(how: str) -> None:
    with running("server", "on_listening", how) as it:
        it.wait_for("on_listening began")
        assert exit_code_soon(it) == 3
        assert it.output.count("on_stop ran") == 1
        assert "ERROR" not in it.output


def test_a_forked_process_has_the_default_signal_handlers() -> None:
    with running("server", "on_listening", "forks") as it:
        it.wait_for(f"the child ended with {-TERM}")
        it.signal(INT)
        assert exit_code_soon(it) == 0
        assert "Traceback" not in it.output
