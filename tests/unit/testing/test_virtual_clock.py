from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from crosswire import Client, Heartbeat, MemoryBus, Node, Server
from crosswire.runtime import environment
from crosswire.testing import connect, virtual_clock
from crosswire.testing.virtual_clock import WALL_BEGIN, NothingLeft, VirtualClockLoop

CPU_LIMIT = 2.0
"""Seconds of processor time for minutes of the virtual clock."""


def test_an_hour_takes_no_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - began

    began = time.thread_time()
    assert 3600 <= virtual_clock.run(main()) < 3600.001
    assert time.thread_time() - began < CPU_LIMIT


def test_timers_of_one_delay_end_in_the_order_in_which_they_began() -> None:
    async def main() -> list[int]:
        ended: list[int] = []

        async def wait(number: int) -> None:
            await asyncio.sleep(1)
            ended.append(number)

        await asyncio.gather(*[wait(number) for number in range(100)])
        return ended

    assert virtual_clock.run(main()) == list(range(100))


def test_the_clocks_of_crosswire_follow_it_in_its_thread_only() -> None:
    elsewhere: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert environment.wall_time() == pytest.approx(WALL_BEGIN)
        await asyncio.sleep(500)
        assert environment.monotonic() == pytest.approx(loop.time())
        assert environment.wall_time() == pytest.approx(WALL_BEGIN + 500)
        thread = threading.Thread(target=lambda: elsewhere.append(environment.monotonic()))
        thread.start()
        thread.join()

    before = environment.monotonic
    virtual_clock.run(main())
    assert elsewhere[0] == pytest.approx(time.monotonic(), abs=60)
    assert environment.monotonic is before


def test_loops_in_several_threads_have_clocks_of_their_own() -> None:
    seen: dict[int, float] = {}

    async def main(number: int) -> None:
        for _ in range(100):
            await asyncio.sleep(number)
        seen[number] = environment.wall_time() - WALL_BEGIN

    threads = [threading.Thread(target=lambda n=n: virtual_clock.run(main(n))) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {1: pytest.approx(100), 2: pytest.approx(200), 3: pytest.approx(300)}
    assert environment.monotonic() == pytest.approx(time.monotonic(), abs=60)


def test_a_seed_gives_the_same_random_numbers_and_none_gives_others() -> None:
    async def draw() -> tuple[float, bytes, str]:
        return environment.random(), environment.urandom(8), Node().name

    assert virtual_clock.run(draw(), seed=5) == virtual_clock.run(draw(), seed=5) != virtual_clock.run(draw(), seed=6)
    assert virtual_clock.run(draw()) != virtual_clock.run(draw())


def test_what_waits_for_ever_is_an_error_and_names_the_tasks() -> None:
    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        task = asyncio.create_task(stuck(), name="the stuck one")
        await task

    with pytest.raises(NothingLeft, match="the stuck one"):
        virtual_clock.run(main())


def test_functions_for_an_executor_run_in_the_loop() -> None:
    async def main() -> None:
        assert await asyncio.to_thread(threading.get_ident) == threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    virtual_clock.run(main())


@pytest.mark.parametrize("use", ["create_connection", "create_server", "getaddrinfo", "subprocess_shell"])
def test_there_is_no_network(use: str) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="no sockets"):
            await getattr(asyncio.get_running_loop(), use)()

    virtual_clock.run(main())


def test_a_client_of_a_server_that_can_not_be_reached_waits_as_it_would() -> None:
    """Its delays, up to two minutes each, are those of the virtual clock."""

    async def main() -> list[float]:
        delays: list[float] = []
        client = Client("ws://127.0.0.1:9", retry_limit=30)
        client.on_reconnect(lambda attempt, delay: delays.append(delay))
        with pytest.raises(Exception, match="30"):
            await client.connect()
        await client.close()
        return delays

    delays = virtual_clock.run(main(), seed=1)
    assert sum(delays) > 600
    assert virtual_clock.run(main(), seed=1) == delays


def test_ten_minutes_of_heartbeats_and_beats_take_a_moment() -> None:
    pongs: list[float] = []

    async def main() -> None:
        bus = MemoryBus()
        server = Server("a", bus=bus, heartbeat=Heartbeat(interval=20, timeout=20))
        server.on_pong(lambda socket: pongs.append(environment.monotonic()))
        async with connect(server) as client, Node("b", bus=bus) as node:
            await asyncio.sleep(600)
            assert set(node.nodes) == {"a", "b"}
            client.peer.pause_reading()  # and so answers no Ping
            await asyncio.sleep(100)
            assert server.sockets == ()

    began = time.thread_time()
    virtual_clock.run(main())
    assert 29 <= len(pongs) <= 31
    assert time.thread_time() - began < CPU_LIMIT


def test_a_loop_made_by_another_runner_works_as_well() -> None:
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        runner.run(asyncio.sleep(1000))


def test_it_needs_no_pytest() -> None:
    script = "import sys, crosswire.testing.virtual_clock; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=50)
    assert "pytest" not in done.stdout.split()


def test_a_function_that_was_patched_while_it_ran_and_put_back_later_does_no_harm() -> None:
    patch = pytest.MonkeyPatch()

    async def patching() -> float:
        patch.setattr(environment, "random", lambda: 0.5)
        return environment.random()

    async def drawing() -> float:
        return environment.random()

    assert virtual_clock.run(patching()) == 0.5
    patch.undo()
    assert 0 <= virtual_clock.run(drawing()) < 1
    assert 0 <= environment.random() < 1


def test_a_function_that_was_patched_before_it_ran_is_put_back_after_another_was_patched_while_it_ran() -> None:
    inner, outer = pytest.MonkeyPatch(), pytest.MonkeyPatch()

    async def patching() -> None:
        inner.setattr(environment, "random", lambda: 0.25)

    async def drawing() -> float:
        return environment.random()

    virtual_clock.run(patching())
    inner.undo()
    outer.setattr(environment, "random", lambda: 0.5)
    assert virtual_clock.run(drawing()) == 0.5
    outer.undo()
    assert len({environment.random() for _ in range(100)}) > 1
