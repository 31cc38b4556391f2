from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import cast

import pytest

from crosswire.cli.failures import CommandFailed
from crosswire.cli.workers.kept_worker import KeptWorker
from crosswire.cli.workers.supervisor import Supervisor
from tests.support.aio import wait_until

TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL


class FakeWorker:
    """A kept worker that ends on the signals that the test says."""

    def __init__(self, name: str, *, ends_on: Sequence[signal.Signals] = (TERM, INT, KILL)) -> None:
        self.name = name
        self.port = 0
        self.reloads = False
        self.listening = asyncio.Event()
        self.running = False
        self.signals: list[signal.Signals] = []
        self._ends_on = ends_on
        self._failure: CommandFailed | None = None
        self._over = asyncio.Event()

    def use_port(self, port: int) -> None:
        self.port = port

    def listen(self, port: int = 9000) -> None:
        self.port = port
        self.listening.set()

    def fail(self, text: str) -> None:
        self._failure = CommandFailed(text, 2)
        self._over.set()

    def stop(self, number: signal.Signals) -> None:
        self.signals.append(number)
        if number in self._ends_on:
            self._over.set()

    async def run(self) -> None:
        self.running = True
        await self._over.wait()
        self.running = False
        if self._failure is not None:
            raise self._failure


def start(*workers: FakeWorker, drain: float = 60, stop_timeout: float = 5) -> asyncio.Task[None]:
    return asyncio.create_task(Supervisor(cast(list[KeptWorker], workers), drain, stop_timeout=stop_timeout).run())


async def begins(worker: FakeWorker) -> None:
    await wait_until(lambda: worker.running)


async def start_listening(*workers: FakeWorker, drain: float = 60, stop_timeout: float = 5) -> asyncio.Task[None]:
    task = start(*workers, drain=drain, stop_timeout=stop_timeout)
    for worker in workers:
        await begins(worker)
        worker.listen()
    return task


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


async def test_other_workers_start_when_the_first_listens_on_its_port(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    first, *others = workers = [FakeWorker(name) for name in "abc"]
    supervising = start(*workers)
    await begins(first)
    assert not any(worker.running for worker in others)
    first.listen(1234)
    for worker in others:
        await begins(worker)
        assert worker.port == 1234
        assert "listening" not in caplog.text
        worker.listen(1234)
    await wait_until(lambda: "listening on port 1234: a, b, c" in caplog.text)
    send(TERM)
    await supervising


@pytest.mark.parametrize("number", [TERM, INT])
async def test_a_signal_is_passed_to_all_workers(number: signal.Signals) -> None:
    workers = [FakeWorker(name) for name in "ab"]
    supervising = await start_listening(*workers)
    send(number)
    await supervising
    assert [worker.signals for worker in workers] == [[number]] * 2


async def test_a_signal_while_workers_start_stops_them_too() -> None:
    first, second = FakeWorker("a"), FakeWorker("b")
    supervising = start(first, second)
    await begins(first)
    send(TERM)
    await supervising
    assert (first.signals, second.running) == ([TERM], False)


async def test_a_second_signal_interrupts_the_workers() -> None:
    worker = FakeWorker("a", ends_on=(INT,))
    supervising = await start_listening(worker)
    send(TERM)
    await wait_until(lambda: worker.signals)
    send(TERM)
    await supervising
    assert worker.signals == [TERM, INT]


@pytest.mark.parametrize("number", [TERM, INT])
async def test_a_worker_that_does_not_end_is_killed(number: signal.Signals) -> None:
    good, bad = FakeWorker("a"), FakeWorker("b", ends_on=(KILL,))
    supervising = await start_listening(good, bad, drain=0.05 if number == TERM else 60, stop_timeout=0.05)
    send(number)
    with pytest.raises(CommandFailed, match="b did not end and had to be killed") as failure:
        await supervising
    assert failure.value.exit_code == 1
    assert (good.signals, bad.signals) == ([number], [number, KILL])


async def test_workers_are_killed_soon_after_a_second_signal() -> None:
    worker = FakeWorker("a", ends_on=(KILL,))
    supervising = await start_listening(worker, drain=60, stop_timeout=0.05)
    send(TERM)
    await wait_until(lambda: worker.signals)
    send(INT)
    with pytest.raises(CommandFailed, match="a did not end"):
        await supervising
    assert worker.signals == [TERM, INT, KILL]


async def test_a_first_worker_that_fails_ends_the_supervisor() -> None:
    first, second = FakeWorker("a"), FakeWorker("b")
    supervising = start(first, second)
    await begins(first)
    first.fail("no such module")
    with pytest.raises(CommandFailed, match="no such module"):
        await supervising
    assert not second.running


async def test_another_worker_that_fails_ends_all_workers() -> None:
    first, second, third = workers = [FakeWorker(name) for name in "abc"]
    supervising = start(*workers)
    await begins(first)
    first.listen()
    await begins(third)
    second.fail("the name is taken")
    third.fail("another name is taken")
    with pytest.raises(CommandFailed, match="the name is taken"):
        await supervising
    assert first.signals == [INT]
