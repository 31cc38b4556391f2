"""Verification of a JSON Web Token, and what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosswire.core.utf8 import has_utf8
from crosswire.errors import ConfigError, Reject
from crosswire.runtime.log_records import get_logger
from crosswire.types import CloseCode, Identity

try:
    import jwt
except ImportError as error:
    raise ConfigError("JwtAuthentication needs PyJWT: pip install 'crosswire[jwt]'") from error

MAX_TOKEN = 16 * 1024
"""Characters of a token; a longer one is refused before it is read."""

_INVALID = "the token is not valid"
_REASONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.InvalidIssuerError: "the token is of another issuer",
    jwt.MissingRequiredClaimError: "the token lacks a claim",
    jwt.InvalidAlgorithmError: "the token is signed with another algorithm",
}
"""Reasons of refusals. None shows the token, or what PyJWT says of it."""

logger = get_logger("crosswire.jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Terms that a token has to fulfil; see ``JwtAuthentication``."""

    algorithms: tuple[str, ...]
    audience: tuple[str, ...]
    issuer: tuple[str, ...]
    leeway: float
    user_claim: str

    def read_head(self, token: str) -> Mapping[str, Any]:
        """Return the head of a token, which is not verified yet, but names an algorithm that may be used.

        Raises:
            Reject: it can't be read, or names another algorithm.
        """
        if len(token) > MAX_TOKEN:
            raise Reject(CloseCode.AUTH_FAILED, _INVALID)
        try:
            head: Mapping[str, Any] = jwt.get_unverified_header(token)
        except Exception as error:  # noqa: BLE001 - as below
            raise _refusal(error) from None
        if head.get("alg") not in self.algorithms:
            raise Reject(CloseCode.AUTH_FAILED, _REASONS[jwt.InvalidAlgorithmError])
        return head

    def verify(self, token: str, key: Any) -> Identity:
        """Verify a token, and return the identity of its user.

        Raises:
            Reject: it is not valid.
        """
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=list(self.algorithms),
                audience=self.audience or None,
                issuer=self.issuer or None,
                leeway=self.leeway,
                options={"require": ["exp", self.user_claim]},
            )
            return self._identity(claims)
        except Exception as error:  # noqa: BLE001 - every error is a refusal
            # Whatever is raised for what a stranger sent: its text and its cause may have parts of the token.
            raise _refusal(error) from None

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        user, token_id = claims[self.user_claim], claims.get("jti")
        expires, issued_at = float(int(claims["exp"])) + self.leeway, float(claims.get("iat", 0))
        token_id = token_id if isinstance(token_id, str) and token_id else None
        if not isinstance(user, str) or not user or not math.isfinite(issued_at):
            raise jwt.InvalidTokenError
        if not has_utf8(user) or not has_utf8(token_id or ""):
            raise jwt.InvalidTokenError
        return Identity(
            user,
            expires=expires,
            token_id=token_id,
            issued_at=issued_at,  # 1970 without `iat`: then it counts as older than every revocation
            claims=claims,
        )


def _refusal(error: Exception) -> Reject:
    logger.debug("a token was refused: %s", type(error).__name__)
    return Reject(CloseCode.AUTH_FAILED, _REASONS.get(type(error), _INVALID))
