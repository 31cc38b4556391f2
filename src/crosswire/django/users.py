"""The user who is logged in to Django, for ``authenticate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import auth
from django.http import HttpRequest

from crosswire.django.database import database_sync_to_async
from crosswire.django.page_origins import may_use_cookies
from crosswire.django.sessions import read_session
from crosswire.errors import Reject
from crosswire.server.handshake import Handshake
from crosswire.types import CloseCode

if TYPE_CHECKING:  # Django loads models after the apps, of which this is one
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

_FOREIGN_PAGE = "this page's origin is in neither ALLOWED_HOSTS nor CSRF_TRUSTED_ORIGINS"


async def session_user(handshake: Handshake) -> str:
    """Return the user who is logged in to Django, as the text of the primary key; to be a server's ``authenticate``.

    Raises:
        Reject: nobody is logged in, or the page belongs to another site (see :func:`get_user`). The connection is
            refused with the close code 4011.

    Example::

        server = Server(port=9000)
        server.authenticate(session_user)
    """
    user = await get_user(handshake)
    if not user.is_authenticated:
        raise Reject(CloseCode.AUTH_FAILED, "not logged in")
    return str(user.pk)


async def get_user(handshake: Handshake) -> AbstractBaseUser | AnonymousUser:
    """Return the user of the session that the cookies name, or an ``AnonymousUser``, as ``request.user`` is in a view.

    The session is read and left as it is. The database is asked in Django's thread for synchronous code.

    Raises:
        Reject: the WebSocket was opened by a page that is not of this site, neither of a host in ``ALLOWED_HOSTS`` nor
            of an origin in ``CSRF_TRUSTED_ORIGINS``: it would use its visitors' cookies.

    Example::

        @server.authenticate
        async def who(handshake: Handshake) -> str | None:
            user = await get_user(handshake)
            return str(user.pk) if user.is_authenticated else None  # None: let in as a guest
    """
    if not may_use_cookies(handshake):
        raise Reject(CloseCode.AUTH_FAILED, _FOREIGN_PAGE)
    return await _find_user(handshake)


@database_sync_to_async
def _find_user(handshake: Handshake) -> AbstractBaseUser | AnonymousUser:
    request = HttpRequest()
    request.session = read_session(handshake)
    return auth.get_user(request)
