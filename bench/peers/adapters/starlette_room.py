"""Starlette on uvicorn, with a room as one writes it there: a set of WebSockets, and a loop over it.

Each message is encoded once. It prints `PORT n` when it listens and stops on SIGTERM.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.peers.adapters import options
from bench.servers.uvicorn_server import serve

arguments = options.parse(__doc__)
REPLY = {"msg": "I am a reply to your say event"}
everyone: set[WebSocket] = set()
rooms: defaultdict[str, set[WebSocket]] = defaultdict(set)


async def broadcast(recipients: set[WebSocket], payload: dict[str, str]) -> None:
    """Send news to a set of clients."""
    text = json.dumps({"event": "news", "payload": payload})
    for websocket in list(recipients):
        await websocket.send_text(text)


async def take(websocket: WebSocket, message: dict[str, Any]) -> None:
    """Do what a client's message asks for, and answer a call."""
    answer: Any = None
    match message["event"]:
        case "publish":
            await broadcast(everyone, message["payload"])
        case "publish_room":
            await broadcast(rooms[message["payload"]["room_id"]], {"text": message["payload"]["text"]})
        case "say":
            answer = REPLY
        case "join":
            websocket.state.rooms.append(message["payload"]["room_id"])
            rooms[message["payload"]["room_id"]].add(websocket)
            answer = {"ok": True}
    if "callbackId" in message:
        await websocket.send_text(json.dumps({"payload": answer, "callbackId": message["callbackId"]}))


async def chat(websocket: WebSocket) -> None:
    """Serve a client until it leaves."""
    if "id" not in websocket.query_params:
        await websocket.close(4011)
        return
    await websocket.accept()
    websocket.state.rooms = []
    everyone.add(websocket)
    try:
        while True:
            await take(websocket, json.loads(await websocket.receive_text()))
    except WebSocketDisconnect:
        pass
    finally:
        everyone.discard(websocket)
        for room in websocket.state.rooms:
            rooms[room].discard(websocket)


if __name__ == "__main__":
    serve(Starlette(routes=[WebSocketRoute("/", chat)]), cert=arguments.cert, key=arguments.key)
