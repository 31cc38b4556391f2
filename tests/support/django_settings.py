"""Django's settings for tests in this process: set once, and the same for all, as Django has one for a process."""

from __future__ import annotations

from pathlib import Path

import django
from django.conf import settings


def configure(database: Path) -> None:
    """Set Django up with users and sessions, and a database in a file, which all threads see."""
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="of the tests, and of nobody else",
        ALLOWED_HOSTS=["chat.test"],
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "crosswire.django",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        SESSION_FILE_PATH=str(database.parent),
        USE_TZ=True,
    )
    django.setup()
