"""examples/tic_tac_toe: two players on two workers, and a game that survives its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from examples.tic_tac_toe.game import Game

from crosswire import Client, EventError, Node, Redis
from crosswire.core.ownership import owner_among
from crosswire.testing.redis_process import RedisProcess
from tests.support.aio import wait_until
from tests.support.running_program import RunningProgram

ROOT = Path(__file__).parents[3]
WAIT_TIMEOUT = 20.0
MAX_ATTEMPTS = 64
"""Connections until each worker has one."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


@contextmanager
def serving(redis: RedisProcess, database: Path, *words: str) -> Iterator[RunningProgram]:
    target = "tests.integration.examples.served_games:server"
    command = [
        sys.executable,
        "-m",
        "crosswire",
        "serve",
        target,
        "--redis",
        redis.url,
        "--prefix",
        f"{database}:",
        *words,
    ]
    environment = {**os.environ, "TIC_TAC_TOE_DATABASE": str(database), "PYTHONWARNINGS": "error"}
    served = RunningProgram(command, cwd=ROOT, environment=environment)
    try:
        yield served
    finally:
        served.stop()
        assert "Traceback" not in served.output, served.output


def port_of(served: RunningProgram) -> int:
    return int(served.wait_for(r"INFO crosswire.serve: listening on port (\d+)")[1])


class Player:
    """A client that joins its game again after each reconnection, and keeps the last board."""

    def __init__(self, port: int, user: str, game: str) -> None:
        self.user, self.game = user, game
        self.worker = ""
        self.board: dict[str, Any] = {"version": -1}
        self.client = Client(
            f"ws://127.0.0.1:{port}/", params={"user": user}, call_timeout=WAIT_TIMEOUT, fast_interval=0.2
        )
        self.client.on_open(self._opened)
        self.client.on("board", self._show)

    async def _opened(self) -> None:
        self.worker = await self.client.call("worker")
        self._show(await self.client.call("join", self.game))

    def _show(self, board: dict[str, Any]) -> None:
        if board["version"] >= self.board["version"]:
            self.board = board

    def has_joined(self) -> bool:
        return bool(self.board["version"] >= 0)

    async def sees(self, cells: str) -> None:
        await wait_until(lambda: self.board.get("cells") == cells, WAIT_TIMEOUT)

    async def move(self, cell: int, number: int | None = None) -> Any:
        number = self.board["moves"] if number is None else number
        return await self.client.call("move", {"game": self.game, "cell": cell, "number": number})


@asynccontextmanager
async def player(port: int, user: str, game: str, worker: str | None = None) -> AsyncIterator[Player]:
    """A player of a game, on a certain worker or on any."""
    async with AsyncExitStack() as stack:
        for _ in range(MAX_ATTEMPTS):
            one = Player(port, user, game)
            await one.client.connect()
            await wait_until(one.has_joined, WAIT_TIMEOUT)
            if worker in (None, one.worker):
                stack.push_async_callback(one.client.close)
                yield one
                return
            await one.client.close()
        raise AssertionError(f"no connection out of {MAX_ATTEMPTS} came to {worker}")


def prefixed(redis: RedisProcess, database: Path) -> Redis:
    return Redis(redis.url, prefix=f"{database}:")


async def test_a_game_of_two_workers_survives_the_death_of_its_owner(redis: RedisProcess, tmp_path: Path) -> None:
    database = tmp_path / "games"
    with serving(redis, database, "--workers", "2", "--port", "0") as served:
        port = await asyncio.to_thread(port_of, served)
        workers = ("tic-tac-toe-1", "tic-tac-toe-2")
        game = next(str(number) for number in range(100) if owner_among(workers, "game", str(number)) == workers[1])
        async with (
            Node("test", redis=prefixed(redis, database), owns=()) as node,
            player(port, "ann", game, workers[0]) as ann,
            player(port, "bob", game, workers[1]) as bob,
        ):
            await wait_until(lambda: node.nodes.keys() >= set(workers), WAIT_TIMEOUT)
            owner = node.owner("game", game)
            assert ann.board["owner"] == bob.board["owner"] == owner == bob.worker
            await ann.move(0)
            await bob.sees("X........")
            await bob.move(4)
            await ann.sees("X...O....")
            assert await node.call(owner, "kept") == [game]
            with pytest.raises(EventError) as refused:
                await bob.move(8)
            assert refused.value.code == "not-your-turn"
            with pytest.raises(EventError) as refused:
                await ann.move(4)
            assert refused.value.code == "taken"

            os.kill(await node.call(owner, "pid"), signal.SIGKILL)
            await ann.move(1)  # at once: ann's worker asks the next owner, and bob connects again
            await bob.sees("XX..O....")
            await bob.move(2)
            await ann.sees("XXO.O....")
            assert (await ann.move(1, number=2))["moves"] == 4  # once more, as if the answer had got lost
            await ann.move(3)
            await bob.move(6)
            for each in (ann, bob):
                await each.sees("XXOXO.O..")
                assert each.board["winner"] == "O"
            with pytest.raises(EventError) as refused:
                await ann.move(8)
            assert refused.value.code == "over"


async def test_games_move_to_a_worker_that_joins_and_back(redis: RedisProcess, tmp_path: Path) -> None:
    database = tmp_path / "games"
    games = [f"g{number}" for number in range(8)]
    async with Node("test", redis=prefixed(redis, database), owns=()) as node:

        async def kept(name: str) -> list[str]:
            return await node.call(name, "kept", type=list[str])

        with serving(redis, database, "--name", "one", "--port", "0") as served:
            port = await asyncio.to_thread(port_of, served)
            assert "<title>Tic-tac-toe</title>" in await asyncio.to_thread(fetched, port)
            async with AsyncExitStack() as stack:
                players = [await stack.enter_async_context(player(port, f"ann-{game}", game)) for game in games]
                assert await kept("one-1") == sorted(games)
                with serving(redis, database, "--name", "two", "--port", "0") as other:
                    await asyncio.to_thread(port_of, other)
                    await wait_until(lambda: "two-1" in node.nodes, WAIT_TIMEOUT)
                    mine = sorted(game for game in games if node.owner("game", game) == "one-1")
                    assert 0 < len(mine) < len(games)
                    deadline = asyncio.get_running_loop().time() + WAIT_TIMEOUT
                    while await kept("one-1") != mine:
                        assert asyncio.get_running_loop().time() < deadline
                    boards = [(await each.client.call("join", each.game)) for each in players]
                    assert {each["game"]: each["owner"] for each in boards} == {g: node.owner("game", g) for g in games}
                await wait_until(lambda: "two-1" not in node.nodes, WAIT_TIMEOUT)
                for each in players:
                    await each.move(0)
                    await each.sees("X........")
                    assert each.board["owner"] == "one-1"


def fetched(port: int) -> str:
    """Return the page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=WAIT_TIMEOUT) as answer:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        return str(answer.read(), "utf-8")


# The rules


def played(*cells: int) -> Game:
    """Return a game of ann and bob after these moves."""
    game = Game("g").seat("ann").seat("bob")
    for number, cell in enumerate(cells):
        game = game.move("ann" if number % 2 == 0 else "bob", cell, number)
    return game


@pytest.mark.parametrize(
    ("cells", "shown", "winner"),
    [
        ((), ".........", None),
        ((4, 0), "O...X....", None),
        ((0, 3, 1, 4, 2), "XXXOO....", "X"),
        ((0, 2, 1, 4, 8, 6), "XXO.O.O.X", "O"),
        ((0, 1, 2, 4, 3, 5, 7, 6, 8), "XOXXOOOXX", "-"),
    ],
)
def test_a_row_of_three_wins(cells: tuple[int, ...], shown: str, winner: str | None) -> None:
    game = played(*cells)
    assert (game.cells, game.winner, game.version) == (shown, winner, 2 + len(cells))


@pytest.mark.parametrize(
    ("user", "cell", "number", "code"),
    [
        ("eve", 0, 2, "not-playing"),
        ("bob", 8, 2, "not-your-turn"),
        ("ann", 8, 0, "not-your-turn"),
        ("ann", 8, 4, "not-your-turn"),
        ("ann", 0, 2, "taken"),
        ("ann", 9, 2, "taken"),
        ("ann", -1, 2, "taken"),
    ],
)
def test_a_move_against_the_rules_is_refused(user: str, cell: int, number: int, code: str) -> None:
    with pytest.raises(EventError) as refused:
        played(0, 1).move(user, cell, number)
    assert refused.value.code == code


def test_a_move_that_is_made_twice_is_made_once() -> None:
    game = played(0, 1)
    assert game.move("ann", 0, 0) is game
    assert game.move("bob", 1, 1) is game


def test_two_play_and_others_watch() -> None:
    game = Game("g").seat("ann")
    assert game.seat("ann") is game
    with pytest.raises(EventError, match="not-playing"):
        game.move("bob", 0, 0)
    full = game.seat("bob")
    assert full.players == ("ann", "bob")
    assert full.seat("eve") is full
