"""The setting ``CROSSWIRE`` of a Django project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from django.conf import settings

from crosswire.cluster.redis.options import Redis
from crosswire.errors import ConfigError

SETTING = "CROSSWIRE"
SERVER, REDIS = "SERVER", "REDIS"
_KEYS = (SERVER, REDIS)


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """Values of a project's setting ``CROSSWIRE``, checked.

    Attributes:
        server: the server that ``runcrosswire`` runs, as ``module:attribute``; None if none is named.
        redis: the Redis between servers and :func:`~crosswire.django.emitter`; None if none is named.
    """

    server: str | None
    redis: Redis | None


def project_settings() -> ProjectSettings:
    """Read the setting.

    Raises:
        ConfigError: it can't be used; the text says what to change.
    """
    value = getattr(settings, SETTING, {})
    for problem in problems(value):
        raise ConfigError(problem)
    redis = value.get(REDIS)
    return ProjectSettings(value.get(SERVER), redis if redis is None or isinstance(redis, Redis) else Redis(redis))


def problems(value: object) -> Iterator[str]:
    """Yield what is wrong with a value of the setting, in sentences that say what to change."""
    if not isinstance(value, dict):
        yield f"{SETTING} is a dict with the keys {' and '.join(_KEYS)}, not {type(value).__name__}"
        return
    for key in value:
        if key not in _KEYS:
            near = get_close_matches(str(key).upper(), _KEYS, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"use {' and '.join(_KEYS)}"
            yield f"{SETTING} has no key {key!r}: {advice}"
    yield from _server_problems(value.get(SERVER))
    yield from _redis_problems(value.get(REDIS))


def _server_problems(server: object) -> Iterator[str]:
    if server is None:
        return
    if not isinstance(server, str):
        yield f"{SETTING}[{SERVER!r}] is a text such as 'chat.realtime:server', not {type(server).__name__}"
        return
    module, colon, attribute = server.partition(":")
    if colon and attribute and all(part.isidentifier() for part in module.split(".")):
        return
    dotted, _, last = server.rpartition(".")
    example = f"{dotted}:{last}" if dotted and not colon else "chat.realtime:server"
    yield f"{SETTING}[{SERVER!r}] is {server!r}: write MODULE:SERVER, such as {example!r}"


def _redis_problems(redis: object) -> Iterator[str]:
    if redis is None or isinstance(redis, Redis):
        return
    try:
        Redis(redis)  # type: ignore[arg-type]  # it checks what it is given
    except ConfigError as error:
        yield f"{SETTING}[{REDIS!r}]: {error}"
