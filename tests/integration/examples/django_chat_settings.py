"""The settings of examples/django_chat, with passwords that are checked at once."""

from website.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
