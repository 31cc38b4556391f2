"""The session of a handshake."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http.cookie import parse_cookie

from crosswire.server.handshake import Handshake


class ReadOnlySession(SessionBase):
    """Session that is read, and never changed in its store.

    Django gives a session another key when it finds it signed with one of ``SECRET_KEY_FALLBACKS``, and deletes it when
    its user has another password. No response to a handshake could tell the browser the new key, so that would end the
    session of the page as well.

    Args:
        store: the stored session.
    """

    def __init__(self, store: SessionBase) -> None:
        super().__init__(store.session_key)
        self._store = store

    def load(self) -> dict[str, Any]:
        """Read the stored session; it is empty if there is none, or if it has expired."""
        return self._store.load()

    def cycle_key(self) -> None:
        """Keep the key, which the browser knows."""

    def flush(self) -> None:
        """Forget what was read, and keep the stored session."""
        self._session_cache: dict[str, Any] = {}


def read_session(handshake: Handshake) -> ReadOnlySession:
    """Return the session that the cookie of a handshake names, of the project's ``SESSION_ENGINE``."""
    cookies = parse_cookie("; ".join(handshake.headers.get_all("cookie")))
    engine = import_module(settings.SESSION_ENGINE)
    return ReadOnlySession(engine.SessionStore(cookies.get(settings.SESSION_COOKIE_NAME)))
