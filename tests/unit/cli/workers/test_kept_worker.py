from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest

from crosswire.cli.failures import CommandFailed
from crosswire.cli.workers.kept_worker import KeptWorker
from crosswire.cli.workers.link import Assignment, Listening, Report, StartRefused
from crosswire.cli.workers.process import WorkerProcess
from crosswire.cli.workers.restarts import MAX_FAILED_STARTS
from crosswire.core.backoff import Backoff
from tests.support.aio import wait_until

LISTENING = Listening("web-2", 9000)


class FakeProcess:
    """A worker's process that does what the test says."""

    def __init__(self, assignment: Assignment, told: Callable[[Report], None]) -> None:
        self.pid = 77
        self.assignment = assignment
        self.told = told
        self.signals: list[signal.Signals] = []
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)
        if not self.code.done():
            self.code.set_result(0)

    async def ended(self) -> int:
        return await self.code


class StartedProcesses:
    """The processes that were started, in place of real ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: list[FakeProcess] = []
        self.failure: OSError | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        monkeypatch.setattr(WorkerProcess, "start", self._start)

    async def _start(self, assignment: Assignment, told: Callable[[Report], None]) -> Any:
        self.meanwhile()
        if self.failure is not None:
            raise self.failure
        self.processes.append(FakeProcess(assignment, told))
        return self.processes[-1]

    async def another(self, number: int) -> FakeProcess:
        """Wait for the start of the process of that number, from 1 on."""
        await wait_until(lambda: len(self.processes) >= number)
        return self.processes[number - 1]


FAST = Backoff(fast_retries=0, fast_interval=0.001, max_interval=0.002)
SLOW = Backoff(fast_retries=0, fast_interval=1000, max_interval=1000)


def make_worker(assignment: Assignment) -> KeptWorker:
    return KeptWorker(assignment, restart_delays=FAST)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> StartedProcesses:
    return StartedProcesses(monkeypatch)


async def test_a_worker_that_dies_is_started_again(starts: StartedProcesses, caplog: pytest.LogCaptureFixture) -> None:
    worker = make_worker(Assignment("chat:server", number=2))
    assert (worker.name, worker.port) == ("worker 2", 0)
    running = asyncio.create_task(worker.run())
    for number, code in ((1, -9), (2, 3), (3, 0)):
        process = await starts.another(number)
        process.told(LISTENING)
        process.code.set_result(code)
    await starts.another(4)
    assert worker.listening.is_set()
    assert (worker.name, worker.port) == ("web-2", 9000)
    worker.stop(signal.SIGTERM)
    await running
    assert starts.processes[3].signals == [signal.SIGTERM]
    for text in ("web-2 (pid 77) was killed by SIGKILL", "ended with exit code 3", "ended with exit code 0"):
        assert f"{text}; it is started again in 0.002 s" in caplog.text


async def test_a_worker_that_refuses_to_start_is_given_up_with_its_error(starts: StartedProcesses) -> None:
    running = asyncio.create_task(make_worker(Assignment("chat:server")).run())
    process = await starts.another(1)
    process.told(StartRefused("no such module", 2))
    process.code.set_result(2)
    with pytest.raises(CommandFailed) as failure:
        await running
    assert (failure.value.text, failure.value.exit_code) == ("no such module", 2)


async def test_a_worker_that_refuses_after_it_has_served_is_started_again(
    starts: StartedProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    worker = make_worker(Assignment("chat:server"))
    running = asyncio.create_task(worker.run())
    first = await starts.another(1)
    first.told(LISTENING)
    first.code.set_result(1)
    second = await starts.another(2)
    second.told(StartRefused("a syntax error", 2))
    second.code.set_result(2)
    third = await starts.another(3)
    third.code.set_result(1)
    await starts.another(4)
    worker.stop(signal.SIGINT)
    await running
    assert "web-2 (pid 77) can't work: a syntax error; it is started again" in caplog.text
    assert caplog.text.count("can't work") == 1


async def test_a_worker_that_never_listens_is_given_up(starts: StartedProcesses) -> None:
    running = asyncio.create_task(make_worker(Assignment("chat:server")).run())
    for number in range(1, MAX_FAILED_STARTS + 1):
        (await starts.another(number)).code.set_result(1)
    with pytest.raises(CommandFailed) as failure:
        await running
    assert (
        failure.value.text == "worker 1 (pid 77) ended with exit code 1, as at each start before; it has never listened"
    )
    assert failure.value.exit_code == 1
    assert len(starts.processes) == MAX_FAILED_STARTS


async def test_a_process_that_can_not_be_created_is_tried_again(
    starts: StartedProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    starts.failure = BlockingIOError(11, "Resource temporarily unavailable")
    worker = make_worker(Assignment("chat:server"))
    running = asyncio.create_task(worker.run())
    await wait_until(lambda: "can't be started" in caplog.text)
    starts.failure = None
    await starts.another(1)
    worker.stop(signal.SIGTERM)
    await running


async def test_a_stop_during_the_delay_starts_no_process(
    starts: StartedProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    worker = KeptWorker(Assignment("chat:server"), restart_delays=SLOW)
    running = asyncio.create_task(worker.run())
    (await starts.another(1)).code.set_result(1)
    await wait_until(lambda: "it is started again in 1000 s" in caplog.text)
    worker.stop(signal.SIGTERM)
    await asyncio.wait_for(running, 5)
    assert len(starts.processes) == 1


async def test_a_stop_while_a_process_starts_signals_it(starts: StartedProcesses) -> None:
    worker = make_worker(Assignment("chat:server"))
    starts.meanwhile = lambda: worker.stop(signal.SIGTERM)
    await asyncio.wait_for(worker.run(), 5)
    assert starts.processes[0].signals == [signal.SIGTERM]


async def test_the_port_of_the_first_worker_is_used(starts: StartedProcesses) -> None:
    worker = make_worker(Assignment("chat:server", port=0))
    worker.use_port(1234)
    running = asyncio.create_task(worker.run())
    assert (await starts.another(1)).assignment.port == 1234
    worker.stop(signal.SIGTERM)
    await running
