"""The seat plan of a theatre: whoever looks at it sees which seats are taken, on any server."""

from __future__ import annotations

from typing import Any

from crosswire import Handshake, Server, Socket


class Bookings:
    """The bookings, in a database that all servers share; here in memory."""

    def __init__(self) -> None:
        self.seats: dict[str, str] = {}

    async def book(self, seat: str, user: str) -> bool:
        """Book a seat, unless it is taken."""
        return self.seats.setdefault(seat, user) == user

    async def all(self) -> dict[str, str]:
        """Return who has which seat."""
        return dict(self.seats)


def make_server(name: str | None = None, *, bookings: Bookings, forgetful: bool = False, **options: Any) -> Server:
    """Make a server of the theatre; a forgetful one has a bug."""
    server = Server(name, **options)
    watchers = server.room("plan", "tonight")

    @server.authenticate
    def who(handshake: Handshake) -> str:
        return handshake.query["user"]

    @server.on("watch")
    async def watch(socket: Socket) -> dict[str, str]:
        await socket.join("plan", "tonight")
        return await bookings.all()

    @server.on("book")
    async def book(socket: Socket, seat: str) -> bool:
        if not await bookings.book(seat, socket.user):
            return False
        watchers.send("taken", {"seat": seat, "user": socket.user})
        return True

    if not forgetful:

        @server.cluster.on_gap
        async def show_again() -> None:
            """Show the whole plan: some of what other servers have sent may not have come."""
            watchers.send("plan", await bookings.all(), local=True)

    return server
