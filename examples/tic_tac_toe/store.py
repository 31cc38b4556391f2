"""Games in a database. SQLite stands for yours, so that the example needs no other program."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from .game import Game

_TABLE = "CREATE TABLE IF NOT EXISTS games (id TEXT PRIMARY KEY, version INTEGER, game BLOB)"
_SAVE = """
    INSERT INTO games VALUES (:id, :version, :game)
    ON CONFLICT (id) DO UPDATE SET version = :version, game = :game WHERE version = :before
"""


class GameStore:
    """All games, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self, id: str) -> Game:
        """Return a game as it was saved last, or a new one."""
        return await asyncio.to_thread(self._load, id)

    async def save(self, game: Game, before: Game) -> bool:
        """Save a game if what is saved still is the one before; return whether it was."""
        return await asyncio.to_thread(self._save, game, before)

    def _load(self, id: str) -> Game:
        with closing(self._connect()) as database:
            row = database.execute("SELECT game FROM games WHERE id = ?", (id,)).fetchone()
        return Game(id) if row is None else msgspec.msgpack.decode(row[0], type=Game)

    def _save(self, game: Game, before: Game) -> bool:
        values = {
            "id": game.id,
            "version": game.version,
            "game": msgspec.msgpack.encode(game),
            "before": before.version,
        }
        with closing(self._connect()) as database, database:
            return database.execute(_SAVE, values).rowcount == 1

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path)
        database.execute(_TABLE)
        return database
