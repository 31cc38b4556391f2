"""Signals for ``crosswire serve`` while its workers start and stop."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crosswire.testing.redis_process import RedisProcess
from tests.integration.cli.program import serving
from tests.support.running_program import RunningProgram

INT, TERM = signal.SIGINT, signal.SIGTERM
EXIT_TIMEOUT = 25.0
"""Seconds for what takes a part of one, on a machine that is busy."""

SIGNALS = pytest.mark.parametrize("number", [INT, TERM])
ENDS = pytest.mark.parametrize("what", ["waits", "blocks"])


@contextmanager
def hanging(what: str, hook: str, *words: str, **environment: str) -> Iterator[RunningProgram]:
    with serving(f"hanging:{what}", "--drain", "600", *words, environment={"HANG": hook, **environment}) as served:
        yield served


def exit_code_soon(served: RunningProgram) -> int:
    began = time.monotonic()
    code = served.wait()
    assert time.monotonic() - began < EXIT_TIMEOUT, served.output
    return code


@SIGNALS
@ENDS
def test_the_first_signal_ends_a_start(what: str, number: signal.Signals) -> None:
    with hanging(what, "on_start") as served:
        served.wait_for("web-1 hangs in on_start")
        served.signal(number)
        assert exit_code_soon(served) == 0


def test_the_first_signal_ends_the_start_of_the_first_worker_and_leaves_the_cluster(redis: RedisProcess) -> None:
    words = ("--workers", "2", "--redis", redis.url, "--prefix", "hanging:")
    with hanging("waits", "on_start", *words) as served:
        served.wait_for("web-1 hangs in on_start")
        assert redis.command("PUBSUB", "CHANNELS", "hanging:*")
        served.signal(TERM)
        assert exit_code_soon(served) == 0
        assert redis.command("PUBSUB", "CHANNELS", "hanging:*") == []


def test_the_first_signal_releases_an_embedded_redis() -> None:
    words = ("on_start", "--workers", "2", "--embedded")
    with (
        tempfile.TemporaryDirectory(prefix="cw", dir="/tmp", ignore_cleanup_errors=True) as directory,
        hanging("waits", *words, TMPDIR=directory) as served,
    ):
        served.wait_for("web-1 hangs in on_start")
        served.signal(INT)
        assert exit_code_soon(served) == 0
        deadline = time.monotonic() + EXIT_TIMEOUT
        while list(Path(directory).rglob("redis.sock")):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@SIGNALS
def test_the_first_signal_ends_an_import(number: signal.Signals) -> None:
    with hanging("waits", "on_start", HANG_IMPORT="1") as served:
        served.wait_for("the import hangs")
        served.signal(number)
        assert exit_code_soon(served) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="which processes it has started is only known there")
@SIGNALS
@pytest.mark.parametrize("delay", [0, 0.1, 0.2])
def test_a_signal_while_a_worker_starts_prints_no_traceback(number: signal.Signals, delay: float) -> None:
    with hanging("waits", "on_start") as served:
        children = Path(f"/proc/{served.pid}/task/{served.pid}/children")
        while not children.read_text():
            time.sleep(0.001)
        time.sleep(delay)  # whatever it does then
        served.signal(number)
        assert exit_code_soon(served) == 0


@SIGNALS
@ENDS
def test_a_second_signal_ends_a_stop(what: str, number: signal.Signals) -> None:
    with hanging(what, "on_stop") as served:
        served.wait_for("INFO crosswire.serve: listening")
        served.signal(TERM)
        served.wait_for("web-1 hangs in on_stop")
        served.signal(number)
        assert exit_code_soon(served) in (0, 1)
        assert served.output.count("hangs in on_stop") == 1


def test_a_second_signal_ends_a_stop_of_several_workers_that_can_not_be_cancelled(redis: RedisProcess) -> None:
    words = ("--workers", "2", "--redis", redis.url, "--prefix", "stubborn:")
    with hanging("stubborn", "on_stop", *words) as served:
        served.wait_for("INFO crosswire.serve: listening")
        served.signal(INT)
        served.wait_for("web-1 hangs in on_stop")
        served.wait_for("web-2 hangs in on_stop")
        served.signal(INT)
        assert exit_code_soon(served) in (0, 1)
        assert served.output.count("hangs in on_stop") == 2
