"""A queue of jobs for the worker: a list in Redis, in place of Celery."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from django.conf import settings
from redis import Redis

_QUEUE = "django-chat:exports"
_WAIT = 2
"""Seconds for which Redis is asked to wait for a job: less than redis-py waits for an answer."""


class Export(msgspec.Struct):
    """The order to put all messages of a room into a file.

    Attributes:
        user: the id of the user who wants it.
        room: the room.
    """

    user: str
    room: str


def add(job: Export) -> None:
    """Queue a job."""
    with Redis.from_url(settings.REDIS) as redis:
        redis.rpush(_QUEUE, msgspec.json.encode(job))


def each() -> Iterator[Export]:
    """Wait for jobs, and yield them one after the other."""
    with Redis.from_url(settings.REDIS) as redis:
        while True:
            if (found := redis.blpop([_QUEUE], timeout=_WAIT)) is not None:
                yield msgspec.json.decode(found[1], type=Export)
