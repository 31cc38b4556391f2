"""A chat whose servers are behind nginx; the user is in the URL, ``?id=13``."""

from crosswire import Handshake, Server, Socket

server = Server(trusted_proxies=["127.0.0.1"])


@server.authenticate
def user_of(handshake: Handshake) -> str | None:
    return handshake.query.get("id")


@server.on("where")
def where(socket: Socket) -> dict[str, str]:
    handshake = socket.handshake
    return {"server": server.name, "address": handshake.remote, "scheme": handshake.scheme, "path": handshake.path}


@server.on("say")
def say(socket: Socket, data: str) -> None:
    server.everyone.send("said", {"user": socket.user, "text": data})
