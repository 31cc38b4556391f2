"""The server of a small project; it uses the models, so Django has to be set up before."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User

from crosswire import Server, Socket
from crosswire.django import database_sync_to_async, session_user

server = Server(redis=settings.CROSSWIRE.get("REDIS"))
server.authenticate(session_user)


@server.on("name")
@database_sync_to_async
def name(socket: Socket) -> str:
    username: str = User.objects.get(pk=socket.user).username
    return username


@server.on("shout")
def shout(socket: Socket, text: str) -> None:
    server.everyone.send("heard", text)


@server.on("where")
def where(socket: Socket) -> str:
    return server.name
