"""The session's user as ``authenticate``: what a browser sends decides, and the session stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django import conf, db
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.test import override_settings

from crosswire import Handshake, NotConnected, Server, Socket
from crosswire.django import database_sync_to_async, get_user, session_user
from crosswire.testing import connect

pytestmark = pytest.mark.usefixtures("database")

ENGINES = ("db", "cached_db", "cache", "file", "signed_cookies")
OWN_PAGE = {"Origin": "https://chat.test"}


def users() -> Any:
    """Return the manager of the users; models can be imported only once Django is set up."""
    return get_user_model().objects


def sessions() -> Any:
    return import_module("django.contrib.sessions.models").Session.objects


@pytest.fixture
def ada() -> Iterator[Any]:
    user = users().create_user("ada", password="secret")
    yield user
    users().filter(pk=user.pk).delete()


@pytest.fixture
def server() -> Server:
    server = Server()
    server.authenticate(session_user)
    server.on("who", lambda socket: socket.user)
    return server


def cookie_of(user: Any) -> str:
    """Log a user in, as the login page does, and return what the browser sends from then on."""
    browser = Browser()
    browser.force_login(user)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())


async def answers(server: Server, **headers: str) -> str:
    """Connect, and return who the server says that it is."""
    async with connect(server, "/", headers) as client:
        answer: str = await client.call("who")
        return answer


async def refusal(server: Server, **headers: str) -> tuple[int, str]:
    """Try to connect; return code and reason with which the server closes."""
    async with connect(server, "/", headers) as client:
        with pytest.raises(NotConnected):
            await client.call("who")
        close = await client.closed()
        return close.code, close.reason


def test_it_works_with_every_engine_of_sessions(ada: Any, server: Server) -> None:
    for engine in ENGINES:
        with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
            cookie = cookie_of(ada)
            assert asyncio.run(answers(server, Cookie=cookie)) == str(ada.pk), engine
            assert asyncio.run(answers(server, Cookie=f"a=b; {cookie}; c=d", **OWN_PAGE)) == str(ada.pk), engine


def test_the_cookie_has_the_name_of_the_settings(ada: Any, server: Server) -> None:
    with override_settings(SESSION_COOKIE_NAME="chat_session"):
        cookie = cookie_of(ada)
        assert cookie.startswith("chat_session=")
        assert asyncio.run(answers(server, Cookie=cookie)) == str(ada.pk)
    assert asyncio.run(refusal(server, Cookie=cookie)) == (4011, "not logged in")


@pytest.mark.parametrize(
    "cookie", ["", "sessionid=", "sessionid=short", f"sessionid={'x' * 32}", "sessionid=" + "\xe9" * 9]
)
async def test_without_a_session_nobody_is_let_in(server: Server, cookie: str) -> None:
    assert await refusal(server, Cookie=cookie) == (4011, "not logged in")


def test_users_who_may_not_log_in_any_more_are_refused(ada: Any, server: Server) -> None:
    cookie = cookie_of(ada)
    for change in ({"is_active": False}, {"is_active": True, "password": "another"}):
        users().filter(pk=ada.pk).update(**change)
        assert asyncio.run(refusal(server, Cookie=cookie)) == (4011, "not logged in")
    users().filter(pk=ada.pk).update(password=ada.password)
    assert asyncio.run(answers(server, Cookie=cookie)) == str(ada.pk)  # nothing that happened ended the session
    users().filter(pk=ada.pk).delete()
    assert asyncio.run(refusal(server, Cookie=cookie)) == (4011, "not logged in")


def test_an_expired_session_is_none(ada: Any, server: Server) -> None:
    cookie = cookie_of(ada)
    sessions().update(expire_date="2001-01-01T00:00:00Z")
    assert asyncio.run(refusal(server, Cookie=cookie)) == (4011, "not logged in")


def test_a_session_of_an_older_secret_key_is_good_and_keeps_its_key(ada: Any, server: Server) -> None:
    cookie = cookie_of(ada)
    with override_settings(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=[conf.settings.SECRET_KEY]):
        for _ in range(2):  # Django would have given the session another key, which the browser does not know
            assert asyncio.run(answers(server, Cookie=cookie)) == str(ada.pk)
    assert sessions().filter(pk=cookie.removeprefix("sessionid=")).exists()


async def test_a_page_of_another_site_can_not_use_the_cookies_of_its_visitors(ada_cookie: str, server: Server) -> None:
    refused = (4011, "this page's origin is in neither ALLOWED_HOSTS nor CSRF_TRUSTED_ORIGINS")
    assert await refusal(server, Cookie=ada_cookie, Origin="https://evil.test") == refused
    assert await refusal(server, Cookie=ada_cookie, Origin="null") == refused
    assert (await answers(server, Cookie=ada_cookie, **OWN_PAGE)).isdecimal()


@pytest.fixture
def ada_cookie(ada: Any) -> str:
    return cookie_of(ada)


async def test_a_hook_of_ones_own_gets_the_model(ada_cookie: str) -> None:
    server = Server()

    @server.authenticate
    async def who(handshake: Handshake) -> str | None:
        user: Any = await get_user(handshake)
        return f"{user.username}, staff: {user.is_staff}" if user.is_authenticated else None

    server.on("who", lambda socket: socket.user)
    assert await answers(server, Cookie=ada_cookie) == "ada, staff: False"
    assert "," not in await answers(server)  # a guest, with a generated id


# Work with the database in handlers


async def test_a_handler_works_with_the_database(ada: Any, ada_cookie: str, server: Server) -> None:
    @server.on("rename")
    @database_sync_to_async
    def rename(socket: Socket, name: str) -> dict[str, Any]:
        changed = users().filter(pk=socket.user).update(first_name=name)
        return {"changed": changed, "in a transaction": db.connection.in_atomic_block}

    async with connect(server, "/", {"Cookie": ada_cookie}) as client:
        assert await client.call("rename", "Ada") == {"changed": 1, "in a transaction": False}
    await ada.arefresh_from_db()
    assert ada.first_name == "Ada"


async def test_work_with_the_database_begins_and_ends_without_old_connections() -> None:
    def connect_and_count() -> tuple[bool, int]:
        return db.connection.connection is None, users().count()

    def is_closed() -> bool:
        return db.connection.connection is None

    await sync_to_async(connect_and_count)()
    assert not await sync_to_async(is_closed)()  # it is older than CONN_MAX_AGE, and nobody has closed it
    assert await database_sync_to_async(connect_and_count)() == (True, 0)
    assert await sync_to_async(is_closed)()
