"""A room of WebSockets in Starlette, as one writes it without a framework for that: a set, and a loop over it.

Each message is encoded once, as in Crosswire. Run it as `python -m bench.servers.starlette_room`. It prints `PORT n`
when it listens and stops on SIGTERM.
"""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.servers.uvicorn_server import serve

room: set[WebSocket] = set()


async def broadcast(text: str) -> None:
    """Send a text to all in the room."""
    for websocket in list(room):
        await websocket.send_text(text)


async def chat(websocket: WebSocket) -> None:
    """Pass on what a client publishes, until it leaves."""
    await websocket.accept()
    room.add(websocket)
    try:
        while True:
            message = json.loads(await websocket.receive_text())
            if message["event"] == "publish":
                await broadcast(json.dumps({"event": "news", "payload": message["payload"]}))
    except WebSocketDisconnect:
        pass
    finally:
        room.discard(websocket)


if __name__ == "__main__":
    serve(Starlette(routes=[WebSocketRoute("/", chat)]))
