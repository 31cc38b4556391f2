"""A Django project with what pages leave out: models, addresses, settings, a database and a user."""

from __future__ import annotations

import os
from collections.abc import Mapping

import django
from django.core.management import call_command

from tests.integration.docs.page import Page

SETTINGS = """
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "crosswire.django",
    "chat",
]
SECRET_KEY = "of the page"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "mysite.urls"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
CROSSWIRE = {"REDIS": "redis://10.0.0.1:6379"}
"""
_FILES = {
    "mysite/__init__.py": "",
    "mysite/settings.py": SETTINGS,
    "mysite/urls.py": "urlpatterns = []",
    "mysite/asgi.py": """
import os
from django.core.asgi import get_asgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_asgi_application()
""",
    "chat/__init__.py": "",
    "chat/models.py": """
from django.conf import settings
from django.db import models

class Message(models.Model):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    room = models.TextField(default="lobby")
    text = models.TextField()
""",
    "manage.py": """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
}


def make_project(page: Page, files: Mapping[str, str] | None = None) -> str:
    """Write a project into the page's directory, set Django up, and return the cookie of a user who is logged in.

    Args:
        page: the page.
        files: texts that the page has for some of the files.
    """
    for name, text in {**_FILES, **(files or {})}.items():
        file = page.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    # What the page runs at the top of a module, or in a test, is run where an event loop runs.
    os.environ |= {"DJANGO_SETTINGS_MODULE": "mysite.settings", "DJANGO_ALLOW_ASYNC_UNSAFE": "1"}
    django.setup()
    call_command("migrate", verbosity=0, run_syncdb=True)

    from django.contrib.auth.models import User
    from django.test import Client as Browser

    browser = Browser()
    browser.force_login(User.objects.create_user("ada", is_staff=True))
    return f"sessionid={browser.cookies['sessionid'].value}"
