"""``crosswire top``, in a terminal and for programs, over two workers."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crosswire import Client
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cli.clients import guests_of_all
from tests.integration.cli.program import HERE, WAIT_TIMEOUT, crosswire, port_of, serving

WORKERS = ("web-1", "web-2")
ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture(scope="module")
def options(redis: RedisProcess) -> tuple[str, ...]:
    return ("--redis", redis.url, "--prefix", "top:")


@pytest.fixture(scope="module")
def port(options: tuple[str, ...]) -> Iterator[int]:
    with serving("app:server", "--workers", "2", "--port", "0", *options) as served:
        yield port_of(served)


class Terminal:
    """A terminal with a program in it."""

    def __init__(self, *words: str, columns: int = 100, lines: int = 24) -> None:
        self.master, self._slave = pty.openpty()
        self.attributes = termios.tcgetattr(self._slave)
        self._resized(columns, lines)
        self.program = subprocess.Popen(
            [sys.executable, "-m", "crosswire", *words],
            cwd=HERE,
            env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")},
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )
        self.output = ""
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self.master, 65_536):
                with self._arrived:
                    self.output += data.decode()
                    self._arrived.notify_all()
        except OSError:  # the other end is closed
            pass

    def _resized(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        self._resized(columns, lines)
        self.program.send_signal(signal.SIGWINCH)

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def wait_for(self, pattern: str, start: int = 0) -> int:
        """Wait until it has printed something; return where that ends."""

        def found() -> re.Match[str] | None:
            return re.compile(pattern, re.DOTALL).search(self.output, start)

        with self._arrived:
            assert self._arrived.wait_for(found, WAIT_TIMEOUT), self.output
            match = found()
        assert match is not None
        return match.end()

    def ended(self) -> int:
        """Wait for the end of the program, which must have restored the terminal; return its exit code."""
        code = self.program.wait(WAIT_TIMEOUT)
        assert termios.tcgetattr(self._slave) == self.attributes
        self.wait_for(re.escape(SHOW + NORMAL) + "$")
        assert self.output.count(ALTERNATE) == self.output.count(NORMAL) == self.output.count(SHOW) == 1
        assert "Traceback" not in self.output
        return code

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        os.close(self._slave)
        self._reader.join()
        os.close(self.master)


@contextmanager
def terminal(*words: str, columns: int = 100, lines: int = 24) -> Iterator[Terminal]:
    shown = Terminal(*words, columns=columns, lines=lines)
    try:
        yield shown
    finally:
        shown.close()


async def test_the_view_is_live_and_fits_the_terminal(port: int, options: tuple[str, ...]) -> None:
    async with guests_of_all(port, WORKERS) as guests:
        with terminal("top", "--interval", "0.2", *options) as shown:
            await asyncio.to_thread(shown.wait_for, r"\x1b\[H2 nodes, \d+ connections.*web-1 .*web-2 .*on 2 of 2 nodes")
            assert shown.output.startswith(ALTERNATE + HIDE)
            before = len(shown.output)
            shouting = asyncio.create_task(_shout(guests["web-1"].client))
            try:
                await asyncio.to_thread(shown.wait_for, r"[1-9][0-9.]*/s in, [1-9][0-9.]*/s out", before)
            finally:
                shouting.cancel()
            shown.resize(20, 4)
            end = await asyncio.to_thread(shown.wait_for, r"\x1b\[H2 nodes, [^\r\n]{11}\x1b\[K\r\n", len(shown.output))
            frame = shown.output[end : await asyncio.to_thread(shown.wait_for, r"\x1b\[J", end)]
            assert frame.count("\n") == 2  # and the last line has no end
            shown.press(b"q")
            assert await asyncio.to_thread(shown.ended) == 0


async def _shout(client: Client) -> None:
    while True:
        client.send("shout", "hi")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)])
def test_a_signal_ends_it_and_restores_the_terminal(
    port: int, options: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    with terminal("top", *options) as shown:
        shown.wait_for("web-2")
        shown.program.send_signal(signal.SIGTSTP)  # would stop it and leave the terminal as it is
        shown.program.send_signal(number)
        assert shown.ended() == code


def test_for_programs_it_prints_one_object(port: int, options: tuple[str, ...]) -> None:
    code, out, err = crosswire("top", "--once", "--json", "--interval", "0.2", *options)
    assert (code, err) == (0, "")
    shown = json.loads(out)
    assert [node["name"] for node in shown["nodes"]] == list(WORKERS)
    for node in shown["nodes"]:
        assert node["uptime"] > 0
        assert node["received_per_second"] == 0
        assert len(node["incarnation"]) == 16
    assert set(shown["totals"]) >= {"connections", "users", "received_per_second", "sent_per_second", "gaps"}
    assert [(each["url"], each["healthy"], each["nodes"]) for each in shown["redis"]] == [(options[1], 2, 2)]
    assert shown["missing"] == []


@pytest.mark.parametrize("once", [(), ("--once",)])
def test_without_a_terminal_it_prints_once(port: int, options: tuple[str, ...], once: tuple[str, ...]) -> None:
    code, out, err = crosswire("top", "--interval", "0.2", *once, *options)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[0].startswith("2 nodes, ")
    assert [line.split()[0] for line in lines[2:5]] == ["NODE", *WORKERS]


def test_in_a_compat_cluster_it_speaks_as_the_members_do(redis: RedisProcess) -> None:
    options = ("--redis", redis.url, "--prefix", "mixed-top:")
    with serving("app:among_originals", *options) as served:
        port_of(served)
        code, out, err = crosswire("top", "--json", "--interval", "0.6", *options)
        assert (code, out) == (2, "")
        assert err.startswith("crosswire top: node 'mixed-1' would not understand it")
        assert err.endswith("give --compat msgpack\n")
        code, out, err = crosswire("top", "--json", "--interval", "0.6", "--compat", "msgpack", *options)
        assert (code, err) == (0, "")
        assert [node["name"] for node in json.loads(out)["nodes"]] == ["mixed-1"]
        assert "WARNING" not in served.output
