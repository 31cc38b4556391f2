"""The real-time server: `manage.py runcrosswire` serves it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from crosswire import Server, Socket
from crosswire.django import database_sync_to_async, session_user

from .models import Message

_SHOWN = 50
"""Messages that a client gets when it joins."""

server = Server(port=9000, redis=settings.CROSSWIRE["REDIS"], duplicates="allow")  # a user may have several tabs
server.authenticate(session_user)


@server.on("join")
async def join(socket: Socket, room: str) -> list[dict[str, Any]]:
    await socket.join("conversations", room)
    return await last_messages(room)


@server.on("typing")
def typing(socket: Socket, room: str) -> None:
    server.room("conversations", room).send("typing", {"room": room, "user": socket.user}, exclude=[socket])


@database_sync_to_async
def last_messages(room: str) -> list[dict[str, Any]]:
    newest = Message.objects.filter(room=room).select_related("author").order_by("-pk")[:_SHOWN]
    return [message.for_clients() for message in reversed(newest)]
