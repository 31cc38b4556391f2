"""Application of the tests of ``crosswire serve app:server --app web:app``, on the port of the server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Body, FastAPI, Request, WebSocket

from crosswire import Server
from tests.integration.cli.app import server


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
    print(f"{server.name} is up", flush=True)
    yield {"started_in": server.name}
    print(f"{server.name} is down", flush=True)


app = FastAPI(lifespan=lifespan)


@app.get("/where")
async def where(request: Request) -> list[Any]:
    return [request.state.started_in, os.getpid()]


@app.post("/shout")
async def shout(text: str = Body()) -> None:
    server.everyone.send("heard", [server.name, text])


@app.get("/slow")
async def slow() -> str:
    print("slow has begun", flush=True)
    await asyncio.sleep(0.5)
    return "done"


@app.websocket("/own")
async def own(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(server.name)
    await websocket.close()


@asynccontextmanager
async def broken_lifespan(_app: FastAPI) -> AsyncIterator[None]:
    raise OSError("the database is away")
    yield


broken = FastAPI(lifespan=broken_lifespan)
with_path = Server("path", port=0, path="/ws")
with_path.on("hello", lambda: f"hello from {with_path.name}")


def make_app() -> FastAPI:
    return app
