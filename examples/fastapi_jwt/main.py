"""FastAPI with a JWT: one dependency tells the user, to HTTP routes and to the WebSocket.

`uvicorn main:app` serves both on one port.
"""

from __future__ import annotations

import os
import time
from typing import Annotated

import jwt
from fastapi import Body, Depends, FastAPI, HTTPException, WebSocket
from fastapi.requests import HTTPConnection

from crosswire import Server, Socket

SECRET = os.environ.get("JWT_SECRET", "for this example alone, and long enough")
LIFETIME = 15 * 60
"""Seconds for which a token is good."""
PASSWORDS = {"ada": "secret", "basho": "secret"}

server = Server()
app = FastAPI(lifespan=server.lifespan)


def current_user(connection: HTTPConnection) -> str:
    """Return the user of the token, or refuse the request or WebSocket with 401.

    A script sends its token as a header. A browser can't do that with a WebSocket, so it may be in the URL as well.
    """
    scheme, _, token = connection.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = connection.query_params.get("token", "")
    try:
        user: str = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})["sub"]
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "log in first", {"WWW-Authenticate": "Bearer"}) from error
    return user


User = Annotated[str, Depends(current_user)]
JsonText = Annotated[str, Body(embed=True)]
"""A field of a body in JSON."""


@app.post("/token")
def log_in(username: JsonText, password: JsonText) -> dict[str, str]:
    if PASSWORDS.get(username) != password:
        raise HTTPException(401, "wrong name or password")
    claims = {"sub": username, "exp": int(time.time()) + LIFETIME}
    return {"access_token": jwt.encode(claims, SECRET, algorithm="HS256"), "token_type": "bearer"}


@app.websocket("/ws")
async def realtime(websocket: WebSocket, user: User) -> None:
    await server.accept(websocket, user=user)  # returns when it is closed


@app.post("/messages/{recipient}", status_code=202)
def write(recipient: str, text: JsonText, user: User) -> None:
    """Send a message to a user. FastAPI calls a `def` function in a thread, and `send` works there too."""
    server.user(recipient).send("message", {"from": user, "text": text})


@server.on("typing")
def typing(socket: Socket, recipient: str) -> None:
    server.user(recipient).send("typing", {"from": socket.user})
