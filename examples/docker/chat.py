"""A chat for the image; the user is in the URL, ``?id=13``."""

from crosswire import Handshake, Server, Socket

server = Server()


@server.authenticate
def user_of(handshake: Handshake) -> str | None:
    return handshake.query.get("id")


@server.on("say")
def say(socket: Socket, data: str) -> None:
    server.everyone.send("said", {"user": socket.user, "text": data})
