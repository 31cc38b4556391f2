"""Comments in a database. SQLite stands for yours, so that the example needs no other program."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_TABLE = "CREATE TABLE IF NOT EXISTS comments (id INTEGER PRIMARY KEY, article TEXT, author TEXT, text TEXT)"


class CommentStore:
    """All comments, in a file that the workers share. Its methods block: call them in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as database, database:
            database.execute(_TABLE)

    def of(self, article: str) -> list[tuple[str, str]]:
        """Return author and text of the comments on an article, the oldest first."""
        with closing(self._open()) as database:
            query = "SELECT author, text FROM comments WHERE article = ? ORDER BY id"
            return database.execute(query, (article,)).fetchall()

    def add(self, article: str, author: str, text: str) -> None:
        """Store a comment."""
        with closing(self._open()) as database, database:
            database.execute("INSERT INTO comments (article, author, text) VALUES (?, ?, ?)", (article, author, text))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10)
