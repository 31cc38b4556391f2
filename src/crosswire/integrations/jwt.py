"""Authentication with JSON Web Tokens (RFC 7519): the extra ``crosswire[jwt]``."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Mapping
from typing import Any

from crosswire.core.options import require_seconds, require_strings
from crosswire.errors import ConfigError, Reject
from crosswire.integrations.jwt_keys import FixedKey, KeySource, RemoteKeys, require_algorithms
from crosswire.integrations.jwt_sources import TOKEN_PARAMETER, TokenSources, token_of_message
from crosswire.integrations.jwt_tokens import Terms
from crosswire.server.authentication import FirstMessage
from crosswire.server.handshake import Handshake
from crosswire.types import CloseCode, Identity

__all__ = ["JwtAuthentication"]

_NO_TOKEN = "a token is needed"


class JwtAuthentication:
    """Hook that lets in who has a valid JWT: ``server.authenticate(JwtAuthentication(...))``.

    Every token must expire (``exp``). Its connection is renewed or closed then, ``Server.revoke`` finds it by its
    ``jti`` and its ``iat``, and its claims are in ``socket.identity.claims``.

    Args:
        key: that verifies: a secret for HS256, HS384 and HS512, else a public key in PEM.
        jwks: URL of a JSON Web Key Set (RFC 7517) instead of a key. It is fetched when a token names a key that is not
            known, at most every 10 seconds, and again after 5 minutes; while that fails, the keys that are known stay.
        algorithms: that tokens may be signed with, such as ``["RS256"]``.
        audience: that tokens must be for (``aud``); several: for one of them. Without it, a token that is for somebody
            is refused.
        issuer: that tokens must be from (``iss``).
        leeway: seconds that clocks may differ.
        user_claim: claim with the user's id, a string.
        sources: where a token is looked for, in this order: "header" (``Authorization: Bearer ...``), "subprotocol"
            (offered right behind the subprotocol ``bearer``), "query", and "message" (the first message of the
            client, an event or call ``authenticate``, whose payload is the token or an object with it).
        parameter: name of the token in the query, or in that object.

    Raises:
        ConfigError: an option can't be used, the key does not fit the algorithms, or PyJWT is not installed.

    Example::

        server.authenticate(JwtAuthentication(key=SECRET, algorithms=["HS256"], audience="chat"))
    """

    def __init__(
        self,
        key: str | bytes | None = None,
        *,
        jwks: str | None = None,
        algorithms: Collection[str],
        audience: str | Collection[str] | None = None,
        issuer: str | Collection[str] | None = None,
        leeway: float = 0,
        user_claim: str = "sub",
        sources: Collection[str] = ("header", "subprotocol", "query"),
        parameter: str = TOKEN_PARAMETER,
    ) -> None:
        allowed = require_algorithms(algorithms)
        if (key is None) == (jwks is None):
            raise ConfigError("JwtAuthentication: give either key= or jwks=")
        self._keys: KeySource = RemoteKeys(jwks, allowed) if jwks is not None else FixedKey(key, allowed)
        self._terms = Terms(
            algorithms=allowed,
            audience=_strings("audience", audience),
            issuer=_strings("issuer", issuer),
            leeway=require_seconds("leeway", leeway, zero=True),
            user_claim=_strings("user_claim", user_claim)[0],
        )
        self._sources = TokenSources(sources, parameter)
        self._parameter = parameter

    def __repr__(self) -> str:
        return f"<JwtAuthentication {', '.join(self._terms.algorithms)}>"

    def __call__(self, handshake: Handshake) -> Identity | FirstMessage | Coroutine[Any, Any, Identity]:
        """Verify the token of a connection; see ``Server.authenticate``.

        Raises:
            Reject: 4011: there is no token, or it is not valid.
        """
        token = self._sources.find(handshake)
        if token is not None:
            return self._verify(token)
        if self._sources.by_message and not handshake.is_renewal:
            return FirstMessage(lambda payload: self._verify(token_of_message(payload, self._parameter)))
        raise Reject(CloseCode.AUTH_FAILED, _NO_TOKEN)

    async def verify(self, token: str) -> Identity:
        """Verify a token that came another way, such as with an HTTP request.

        Raises:
            Reject: it is not valid; the reason says why, without the token.
        """
        result = self._verify(token)
        return result if isinstance(result, Identity) else await result

    def _verify(self, token: str | None) -> Identity | Coroutine[Any, Any, Identity]:
        if token is None:
            raise Reject(CloseCode.AUTH_FAILED, _NO_TOKEN)
        head = self._terms.read_head(token)
        key = self._keys.find(head)
        if key is not None:
            return self._terms.verify(token, key)
        return self._verify_later(token, head)

    async def _verify_later(self, token: str, head: Mapping[str, Any]) -> Identity:
        return self._terms.verify(token, await self._keys.fetch(head))


def _strings(option: str, value: str | Collection[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    strings = (value,) if isinstance(value, str) else require_strings(option, value)
    if not strings or not all(strings):
        raise ConfigError(f"JwtAuthentication({option}={value!r}): give a non-empty string")
    return strings
