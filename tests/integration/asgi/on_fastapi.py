"""Two servers in an application of FastAPI."""

from __future__ import annotations

from typing import Annotated

import fastapi

from tests.integration.asgi.servers import both, chat, game

app = fastapi.FastAPI(lifespan=both)
app.mount("/chat", chat.asgi)
app.mount("/game", game.asgi)


def current_user(token: str) -> str:
    return f"user of {token}"


@app.websocket("/route")
async def route(websocket: fastapi.WebSocket, user: Annotated[str, fastapi.Depends(current_user)]) -> None:
    await chat.accept(websocket, user=user)


@app.get("/own")
def own() -> str:
    return "the application's own"
