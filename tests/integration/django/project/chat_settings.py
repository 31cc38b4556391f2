"""Settings of a small project; the tests give its database, and what is to be tried as ``CROSSWIRE``."""

from __future__ import annotations

import json
import os

SECRET_KEY = "of the tests, and of nobody else"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "crosswire.django",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["CHAT_DATABASE"]}}
USE_TZ = True
CROSSWIRE = json.loads(os.environ.get("CHAT_CROSSWIRE", '{"SERVER": "realtime:server"}'))
