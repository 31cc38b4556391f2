"""The rules of tic-tac-toe. A game is a value: a move makes another one."""

from __future__ import annotations

import msgspec

from crosswire import EventError

_LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))


class Game(msgspec.Struct, frozen=True):
    """A game: who plays, X first, and which cells (0 to 8) they have taken, in turn."""

    id: str
    players: tuple[str, ...] = ()
    moves: tuple[int, ...] = ()

    @property
    def version(self) -> int:
        """Number of changes so far: each adds a player or a move."""
        return len(self.players) + len(self.moves)

    @property
    def cells(self) -> str:
        """The nine cells: "X", "O" or "." each."""
        return "".join("XO"[self.moves.index(cell) % 2] if cell in self.moves else "." for cell in range(9))

    @property
    def winner(self) -> str | None:
        """The winner's mark, "-" if nobody can win any more, None if the game goes on."""
        cells = self.cells
        for a, b, c in _LINES:
            if cells[a] == cells[b] == cells[c] != ".":
                return cells[a]
        return None if "." in cells else "-"

    def seat(self, user: str) -> Game:
        """Return the game with one more player; the same game if the user plays already, or both seats are taken."""
        if user in self.players or len(self.players) == 2:
            return self
        return msgspec.structs.replace(self, players=(*self.players, user))

    def move(self, user: str, cell: int, number: int) -> Game:
        """Return the game after a move.

        Args:
            user: whose move it is.
            cell: that is taken.
            number: of moves before it, as the user saw the game.

        Raises:
            EventError: the rules forbid it.
        """
        if user not in self.players:
            raise EventError("not-playing", "others play this game")
        mine = number % 2 == self.players.index(user)
        if mine and self.moves[number : number + 1] == (cell,):
            return self  # it was made, but the answer got lost with the node that gave it
        if self.winner is not None:
            raise EventError("over", "the game is over")
        if not mine or number != len(self.moves):
            raise EventError("not-your-turn", "it is not your turn")
        if cell in self.moves or not 0 <= cell <= 8:
            raise EventError("taken", "choose a free cell")
        return msgspec.structs.replace(self, moves=(*self.moves, cell))
