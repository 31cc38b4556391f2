"""Tokens of a test's users, and servers that take them."""

from __future__ import annotations

import time
from typing import Any

import jwt

from crosswire import Server
from crosswire.integrations.jwt import JwtAuthentication

SECRET = "a secret of tests that is long enough"


def make_token(user: str = "ada", lasts: float = 60, **claims: Any) -> str:
    """A token of a user that lasts some seconds; a claim that is None is left out."""
    now = time.time()
    all_claims = {"sub": user, "iat": now - 1, "exp": int(now + lasts), **claims}
    return jwt.encode({name: value for name, value in all_claims.items() if value is not None}, SECRET, "HS256")


def token_server(*, jwt_options: dict[str, Any] | None = None, **options: Any) -> Server:
    """A server on a free port that lets in who has such a token, and tells what it says."""
    server = Server(**{"name": "test", "port": 0, **options})
    server.authenticate(JwtAuthentication(SECRET, algorithms=["HS256"], **(jwt_options or {})))

    @server.on("claims")
    def claims(socket: Any) -> Any:
        return socket.identity.claims

    return server
