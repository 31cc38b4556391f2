"""Work with the database, out of the event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


def database_sync_to_async(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make an asynchronous function of one that uses the ORM: it runs in Django's thread for synchronous code.

    Connections to the database that are broken, or older than ``CONN_MAX_AGE``, are closed before and after, as Django
    does around each request. A server runs for months without a request, and would keep a broken connection.

    Example::

        @database_sync_to_async
        def save(user: str, text: str) -> None:
            Message.objects.create(author_id=user, text=text)

        await save("13", "hello")
    """

    @wraps(function)
    def with_fresh_connections(*args: P.args, **kwargs: P.kwargs) -> T:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    run_in_thread = sync_to_async(with_fresh_connections)

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await run_in_thread(*args, **kwargs)

    return call
