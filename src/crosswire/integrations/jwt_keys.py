"""The keys that verify JSON Web Tokens: one that is given, or those of a JSON Web Key Set that is fetched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from http.client import HTTPException
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from crosswire.core.options import require_strings
from crosswire.errors import ConfigError, Reject
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.types import CloseCode

try:
    import jwt
    from jwt.algorithms import get_default_algorithms
except ImportError as error:
    raise ConfigError("JwtAuthentication needs PyJWT: pip install 'crosswire[jwt]'") from error

MIN_FETCH_INTERVAL = 10.0
"""Seconds between two fetches of a key set, however many tokens name keys that are not in it."""
MAX_AGE = 300.0
"""Seconds after which a key set is fetched again, so that a key that was withdrawn is not used for long."""
FETCH_TIMEOUT = 5.0
"""Seconds that each step of a fetch may take."""
MAX_KEY_SET = 1024 * 1024
"""Bytes of a key set; a larger one is not used."""

_SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})
_UNKNOWN_KEY = "the token is signed with an unknown key"

logger = get_logger("crosswire.jwt")

Head = Mapping[str, Any]
"""The head of a token, not verified."""


class KeySource(Protocol):
    """Source of the keys that verify tokens."""

    def find(self, head: Head) -> Any:
        """Return the key for a token; None if it has to be fetched."""
        ...

    async def fetch(self, head: Head) -> Any:
        """Return the key for a token, once it is known.

        Raises:
            Reject: there is none.
        """
        ...


def require_algorithms(algorithms: object) -> tuple[str, ...]:
    """Return the algorithms that tokens may be signed with.

    Raises:
        ConfigError: there are none, one is unknown or no signature, or secrets and public keys are mixed.
    """
    names = require_strings("algorithms", algorithms)
    known = set(get_default_algorithms()) - {"none"}
    if not names or not set(names) <= known:
        raise ConfigError(f"JwtAuthentication(algorithms={list(names)}): choose from {', '.join(sorted(known))}")
    if 0 < len(_SYMMETRIC.intersection(names)) < len(set(names)):
        raise ConfigError(
            f"JwtAuthentication(algorithms={list(names)}): a key is either a secret (HS...) or a public one, not both"
        )
    return names


class FixedKey:
    """A key that is given.

    Args:
        key: a secret, or a public key in PEM.
        algorithms: as :func:`require_algorithms` returns them.

    Raises:
        ConfigError: it is not a key for these algorithms.
    """

    def __init__(self, key: object, algorithms: Collection[str]) -> None:
        if not isinstance(key, str | bytes) or not key:
            raise ConfigError("JwtAuthentication(key=...): give a secret, or a public key in PEM, as str or bytes")
        for name in algorithms:
            if not _fits(name, key):
                raise ConfigError(f"JwtAuthentication(key=...): this is no key for {name}")
        self._key = key

    def find(self, head: Head) -> Any:
        """Return the key that was given."""
        return self._key

    async def fetch(self, head: Head) -> Any:
        """Return the key; nobody needs to wait for it."""
        return self._key


class RemoteKeys:
    """The keys of a JSON Web Key Set, fetched in a thread when they are needed.

    Args:
        url: of the key set.
        algorithms: as :func:`require_algorithms` returns them.
        clock: returns seconds.

    Raises:
        ConfigError: the URL can't be used, or the algorithms use secrets, which are in no such set.
    """

    def __init__(
        self, url: object, algorithms: Collection[str], clock: Callable[[], float] = lambda: environment.monotonic()
    ) -> None:
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ConfigError(f"JwtAuthentication(jwks={url!r}): give a URL with https://")
        if _SYMMETRIC.intersection(algorithms):
            raise ConfigError("JwtAuthentication(jwks=...): a key set has public keys: give algorithms such as RS256")
        self._url = url
        self._shown = f"{urlsplit(url).hostname}{urlsplit(url).path}"  # no password, no query
        self._algorithms = algorithms
        self._clock = clock
        self._keys: dict[str | None, Any] = {}
        self._asked_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._tasks = BackgroundTasks()

    def find(self, head: Head) -> Any:
        """Return the key for a token, if it is known; fetch the set again if it is old, but do not wait for that."""
        key = self._known(head)
        if key is not None and self._is_due(MAX_AGE):
            self._begin()
        return key

    async def fetch(self, head: Head) -> Any:
        """Return the key for a token, after a fetch if it is time for one; see :class:`KeySource`."""
        if self._is_due(MIN_FETCH_INTERVAL):
            self._begin()
        if self._fetching is not None:
            await asyncio.wait({self._fetching})
        key = self._known(head)
        if key is None:
            raise Reject(CloseCode.AUTH_FAILED, _UNKNOWN_KEY)
        return key

    def _known(self, head: Head) -> Any:
        """Return the key that a token names. One that names none is verified with the only key, if there is one."""
        name = head.get("kid")
        if name is not None:
            return self._keys.get(name) if isinstance(name, str) else None
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    def _is_due(self, age: float) -> bool:
        return self._fetching is None and (self._asked_at is None or self._clock() - self._asked_at >= age)

    def _begin(self) -> None:
        self._asked_at = self._clock()
        self._fetching = self._tasks.start(self._refresh(), "crosswire jwks")

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(2 * FETCH_TIMEOUT):
                text = await asyncio.to_thread(_download, self._url)
            keys = self._read(text)
        except (OSError, HTTPException, ValueError, RecursionError, jwt.PyJWTError) as error:
            logger.warning("the keys at %s can't be fetched, those that are known stay: %r", self._shown, error)
        else:
            self._keys = keys
        finally:
            self._fetching = None

    def _read(self, text: bytes) -> dict[str | None, Any]:
        """Return the keys of a set by their ids: those that verify signatures with the algorithms.

        Raises:
            ValueError: it is no key set, or has no such key.
        """
        found = json.loads(text)
        entries = found.get("keys") if isinstance(found, dict) else None
        if not isinstance(entries, list):
            raise ValueError("this is no key set")  # noqa: TRY004 - not a fault of the caller
        keys = {}
        for entry in entries:
            if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
                continue
            try:
                key = jwt.PyJWK(entry)
            except (jwt.PyJWTError, ValueError, TypeError, KeyError):
                continue  # of a kind that is not known here
            name = entry.get("alg")
            if name in self._algorithms:
                keys[key.key_id] = key
            elif name is None and any(_fits(each, key.key) for each in self._algorithms):
                keys[key.key_id] = key.key
        if not keys:
            raise ValueError(f"there is no key for {', '.join(self._algorithms)}")
        return keys


def _fits(algorithm: str, key: Any) -> bool:
    """Return whether a key is one for an algorithm; a public key is none for one with secrets."""
    try:
        get_default_algorithms()[algorithm].prepare_key(key)
    except Exception:  # noqa: BLE001 - the text and the cause may have parts of the key
        return False
    return True


class _NoRedirects(HTTPRedirectHandler):
    """Refuses redirections: keys come from the URL that the application trusts."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        return None


def _download(url: str) -> bytes:
    """Fetch a key set; called in a thread."""
    request = Request(url, headers={"Accept": "application/json"})
    with build_opener(_NoRedirects).open(request, timeout=FETCH_TIMEOUT) as response:
        text: bytes = response.read(MAX_KEY_SET + 1)
    if len(text) > MAX_KEY_SET:
        raise ValueError(f"it has more than {MAX_KEY_SET} bytes")
    return text
