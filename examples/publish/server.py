"""A server that other programs send to over HTTP, with the key in PUBLISH_KEY; the user is in the URL, ``?id=13``."""

import os

from crosswire import Handshake, Server

server = Server(port=9000, publish_key=os.environ["PUBLISH_KEY"])


@server.authenticate
def user_of(handshake: Handshake) -> str | None:
    return handshake.query.get("id")


if __name__ == "__main__":
    server.run()
