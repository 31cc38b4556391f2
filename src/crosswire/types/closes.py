"""Codes with which connections are closed."""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """Close codes that Crosswire sends. 1xxx: RFC 6455, section 7.4.1; 4xxx: Crosswire's own and the original's.

    A client does not reconnect after a code in :data:`FINAL_CLOSE_CODES`. After any other code it does.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_TEXT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    CLIENT_CLOSED = 4001
    FORCED_LOGOUT = 4010
    AUTH_FAILED = 4011
    REPLACED = 4012
    BACKGROUND = 4013
    TOKEN_EXPIRED = 4014


FINAL_CLOSE_CODES = frozenset(
    {
        CloseCode.POLICY,
        CloseCode.CLIENT_CLOSED,
        CloseCode.FORCED_LOGOUT,
        CloseCode.AUTH_FAILED,
        CloseCode.REPLACED,
    }
)
"""Close codes after which a client does not reconnect by itself."""
