"""Makes the tables, and prints the cookie of a user who is logged in."""

from __future__ import annotations

import os

import django
from django.core.management import call_command
from django.test import Client

os.environ["DJANGO_SETTINGS_MODULE"] = "chat_settings"
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import User  # noqa: E402 - models need what is set up above

browser = Client()
browser.force_login(User.objects.create_user("ada"))
print(browser.cookies["sessionid"].value)
