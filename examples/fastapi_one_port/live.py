"""The WebSockets of the articles: their readers, and who is writing."""

from __future__ import annotations

from typing import Annotated

import msgspec

from crosswire import Handshake, Reject, Server, Socket

server = Server("live", port=8000, path="/live", redis="embedded:fastapi-one-port")

ArticleId = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


@server.authenticate
def reader(handshake: Handshake) -> str:
    """Let everybody in who says a name; yours would look at a session or a token."""
    if not (name := handshake.query.get("name", "").strip()):
        raise Reject(status=401)
    return name


@server.on("read")
async def read(socket: Socket, article: ArticleId) -> int:
    """Show a reader what happens below an article from now on; return the number of its readers."""
    await socket.join("article", article)
    return int(await server.room("article", article).count())


@server.on("writing")
def writing(socket: Socket, article: ArticleId) -> None:
    """Tell the other readers that somebody writes."""
    server.room("article", article).send("writing", {"author": socket.user}, exclude=[socket])
