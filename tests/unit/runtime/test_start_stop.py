from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from crosswire.core.listeners import Hook
from crosswire.errors import ConfigError, NotConnected, UsageError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.start_stop import StartStop, carry_through, run_each, run_hook
from tests.support.aio import run, wait_until


class FakeService:
    """A service that notes its starts and stops."""

    def __init__(self, begins: Callable[[], asyncio.Future[None]] | None = None) -> None:
        self.life = StartStop("service")
        self.notes: list[str] = []
        self.gate = asyncio.Event()

    async def start(self, *, wait: bool = False) -> None:
        await self.life.start(self.begin_waiting if wait else self.begin, self.end)

    async def stop(self, *, wait: bool = False) -> None:
        await self.life.stop(self.end_waiting if wait else self.end)

    async def begin(self) -> None:
        self.notes.append("begun")

    async def begin_waiting(self) -> None:
        self.notes.append("beginning")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.notes.append("undone")
            raise

    async def end(self) -> None:
        self.notes.append("ended")

    async def end_waiting(self) -> None:
        await carry_through(self._first, self._second)

    async def _first(self) -> None:
        self.notes.append("ending")
        await self.gate.wait()

    async def _second(self) -> None:
        self.notes.append("ended")


async def test_it_runs_between_start_and_stop() -> None:
    service = FakeService()
    for _ in range(2):
        assert not service.life.running
        await service.start()
        assert service.life.running
        with pytest.raises(ConfigError, match="runs already"):
            await service.start()
        await service.stop()
        await service.stop()
    assert service.notes == ["begun", "ended"] * 2


@pytest.mark.parametrize("turns", range(4))
async def test_a_start_that_is_cancelled_is_undone(turns: int) -> None:
    service = FakeService()
    starting = asyncio.create_task(service.start(wait=True))
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert service.notes in ([], ["beginning", "undone"])
    await service.start()
    await service.stop()


@pytest.mark.parametrize("turns", range(6))
async def test_a_start_that_is_cancelled_as_it_succeeds_is_undone(turns: int) -> None:
    service = FakeService()
    starting = asyncio.create_task(service.start())
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait({starting})
    assert service.life.running is not starting.cancelled()
    assert service.notes in ([["begun"]] if service.life.running else [[], ["begun", "ended"]])
    await service.stop()


@pytest.mark.parametrize("turns", range(1, 4))
async def test_a_stop_cancels_a_start(turns: int) -> None:
    service = FakeService()
    starting = asyncio.create_task(service.start(wait=True))
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.gather(service.stop(), service.stop())
    with pytest.raises(NotConnected, match="was stopped before"):
        await starting
    assert not service.life.running
    assert service.notes in ([], ["beginning", "undone"])


async def test_a_second_start_does_not_wait_for_the_first() -> None:
    service = FakeService()
    starting = asyncio.create_task(service.start(wait=True))
    await wait_until(lambda: service.notes)
    with pytest.raises(ConfigError, match="is being started already"):
        await service.start()
    service.gate.set()
    await starting
    await service.stop()


async def test_two_stops_at_once_stop_it_once() -> None:
    service = FakeService()
    await service.start()
    stops = [asyncio.create_task(service.stop(wait=True)) for _ in range(2)]
    await wait_until(lambda: "ending" in service.notes)
    assert not service.life.running
    again = asyncio.create_task(service.start())
    await asyncio.sleep(0)
    assert not any(each.done() for each in (*stops, again))
    service.gate.set()
    await asyncio.gather(*stops, again)
    assert service.notes == ["begun", "ending", "ended", "begun"]
    await service.stop()


@pytest.mark.parametrize("turns", range(1, 6))
async def test_a_cancelled_stop_is_finished_nevertheless(turns: int) -> None:
    service = FakeService()
    await service.start()
    stopping = asyncio.create_task(service.stop(wait=True))
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert service.notes == ["begun", "ending", "ended"]
    await service.start()
    await service.stop()


async def test_a_task_that_is_part_of_a_stop_does_not_wait_for_it() -> None:
    service, heard = FakeService(), list[str]()

    async def end() -> None:
        await asyncio.create_task(service.stop())
        with pytest.raises(UsageError, match="about to stop"):
            await service.start()
        heard.append("ended")

    await service.start()
    await asyncio.wait_for(service.life.stop(end), 5)
    assert heard == ["ended"]


def test_a_started_service_belongs_to_its_loop() -> None:
    service = FakeService()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(service.start())

    async def elsewhere(error: str) -> None:
        with pytest.raises(UsageError, match=error):
            await service.start()
        with pytest.raises(UsageError, match=error):
            await service.stop()

    run(elsewhere("another event loop"))
    loop.close()
    run(elsewhere("has ended without `await service.stop\\(\\)`"))


def test_a_stopped_service_can_start_in_another_loop() -> None:
    service = FakeService()

    async def main() -> None:
        await service.start()
        await service.stop()

    for _ in range(2):
        run(main())


async def test_all_steps_of_a_stop_run_whatever_they_raise(caplog: pytest.LogCaptureFixture) -> None:
    taken = list[int]()

    def step(number: int, error: Exception | None) -> Callable[[], asyncio.Task[None]]:
        async def take() -> None:
            taken.append(number)
            if error is not None:
                raise error

        return take  # type: ignore[return-value]

    with pytest.raises(KeyError, match="first"):
        await carry_through(step(1, None), step(2, KeyError("first")), step(3, OSError("second")), step(4, None))  # type: ignore[arg-type]
    assert taken == [1, 2, 3, 4]
    assert "second" in caplog.text
    assert "first" not in caplog.text


async def test_a_step_of_a_stop_that_does_not_end_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    taken, free = list[str](), asyncio.Event()

    async def refuse() -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                taken.append("refused")

    async def last() -> None:
        taken.append("last")

    work = asyncio.create_task(carry_through(refuse, last))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert taken[-1] == "last"
    free.set()
    await asyncio.sleep(0.01)
    assert "left behind" in caplog.text


async def test_a_hook_that_is_cancelled_may_clean_up() -> None:
    hook: Hook[[]] = Hook("on_start")
    cleaned, begun = list[int](), asyncio.Event()

    @hook
    async def handler() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(1)

    work = asyncio.create_task(run_hook(hook, BackgroundTasks()))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert cleaned == [1]


async def test_each_handler_is_called_though_the_first_hangs() -> None:
    hook: Hook[[]] = Hook("on_stop")
    called, begun = list[str](), asyncio.Event()

    @hook
    async def hangs() -> None:
        begun.set()
        await asyncio.sleep(60)

    @hook
    def sync() -> None:
        called.append("sync")

    @hook(once=True)
    async def asynchronous() -> None:
        await asyncio.sleep(0)
        called.append("async")

    work = asyncio.create_task(run_each(hook, BackgroundTasks()))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert called == ["sync", "async"]


async def test_each_handler_is_called_though_others_fail(caplog: pytest.LogCaptureFixture) -> None:
    hook: Hook[[]] = Hook("on_stop")
    called = list[int]()

    def fails(number: int) -> None:
        called.append(number)
        raise OSError(number)

    for number in range(3):
        hook(partial(fails, number))
    with pytest.raises(OSError, match="0"):
        await run_each(hook, BackgroundTasks())
    assert called == [0, 1, 2]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["1", "2"]
