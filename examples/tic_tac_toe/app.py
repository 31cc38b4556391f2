"""Tic-tac-toe on several workers: two players may be connected to different ones, and one worker owns each game.

::

    cd examples
    crosswire serve tic_tac_toe.app:server --workers 2

Then open http://localhost:9000 in two windows. README.md says how it works.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec

from crosswire import EventError, Handshake, NodeGone, OwnerChange, Reject, Response, Server, Socket

from .game import Game
from .store import GameStore

MAX_ATTEMPTS = 3
"""Times that a request is made: while it is made, its game may move to another owner, and to a third."""

server = Server("tic-tac-toe", port=9000, redis="embedded:tic-tac-toe")
cluster = server.cluster
store = GameStore(Path(os.environ.get("TIC_TAC_TOE_DATABASE", "games.sqlite")))
games: dict[str, Game] = {}  # those that this worker owns and has changed
page = Path(__file__).with_name("page.html").read_bytes()

GameId = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class Move(msgspec.Struct):
    """A move of a player; ``number`` is the number of moves before it."""

    game: GameId
    cell: int
    number: int


class Request(msgspec.Struct):
    """A request to the owner of a game: to take a seat, or to make a move."""

    user: str
    game: GameId
    move: Move | None = None

    def applied_to(self, game: Game) -> Game:
        """Return the game after the request."""
        return game.seat(self.user) if self.move is None else game.move(self.user, self.move.cell, self.move.number)


class Board(msgspec.Struct):
    """A game as clients see it."""

    game: str
    version: int
    players: tuple[str, ...]
    cells: str
    moves: int
    winner: str | None
    owner: str


# On the worker that a player is connected to


@server.authenticate
def user_of(handshake: Handshake) -> str:
    if not (user := handshake.query.get("user")):
        raise Reject(4011, "Who are you?")
    return user


@server.on("join")
async def join(socket: Socket, game: GameId) -> Board:
    await socket.join("game", game)
    return await ask_owner(Request(socket.user, game))


@server.on("move")
async def move(socket: Socket, data: Move) -> Board:
    return await ask_owner(Request(socket.user, data.game, data))


@server.on("worker")
def worker() -> str:
    return server.name


@server.get("/")
def index() -> Response:
    return Response(200, page, {"Content-Type": "text/html; charset=utf-8"})


async def ask_owner(request: Request) -> Board:
    """Ask the owner of a game; if it dies before it answers, ask the next one."""
    for _ in range(MAX_ATTEMPTS):
        try:
            return await cluster.call(cluster.owner("game", request.game), "play", request, type=Board)
        except NodeGone:
            continue
    raise EventError("try-again", "the game is moving to another worker")


# On the worker that owns the game


@cluster.on("play")
async def play(_sender: str, request: Request) -> Board:
    """Change a game, save it, and show it to everybody in its room."""
    for _ in range(MAX_ATTEMPTS):
        game = games.get(request.game) or await store.load(request.game)
        changed = request.applied_to(game)
        if changed == game:
            return board(game)
        if await store.save(changed, game):
            remember(changed)
            server.room("game", game.id).send("board", board(changed))
            return board(changed)
        # It was changed meanwhile: by another request, or by another owner, as there may be for a moment.
        forget(game.id)
    raise EventError("try-again", "others are changing the game")


def remember(game: Game) -> None:
    if game.winner is not None or cluster.owner("game", game.id) != server.name:
        forget(game.id)
        return
    if game.id not in games:
        cluster.watch_owner("game", game.id, owner_changed)
    games[game.id] = game


def forget(id: str) -> None:
    games.pop(id, None)
    cluster.unwatch_owner("game", id)


def owner_changed(change: OwnerChange) -> None:
    """Forget a game that moves to another worker, which loads it when it is asked."""
    if change.owner != server.name:
        forget(change.id)


def board(game: Game) -> Board:
    return Board(game.id, game.version, game.players, game.cells, len(game.moves), game.winner, server.name)
