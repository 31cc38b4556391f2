"""Crosswire in a Django project: an app with settings and a command, the session's user, sends from views.

Example::

    INSTALLED_APPS = [..., "crosswire.django"]
    CROSSWIRE = {"SERVER": "chat.realtime:server", "REDIS": "redis://10.0.0.1:6379"}
"""

from __future__ import annotations

from importlib.util import find_spec

from crosswire.errors import ConfigError

if find_spec("django") is None:
    raise ConfigError("crosswire.django needs Django: pip install 'crosswire[django]'")

from crosswire.django.database import database_sync_to_async
from crosswire.django.project_emitter import emitter
from crosswire.django.users import get_user, session_user

__all__ = ["database_sync_to_async", "emitter", "get_user", "session_user"]
