"""The pages as an ASGI application, and pages and WebSockets as one."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chat_settings")
pages = get_asgi_application()
