"""The pages as an ASGI application, and pages and WebSockets as one."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chat_settings")
pages = get_asgi_application()

from realtime import server  # type: ignore[import-not-found]  # noqa: E402 - it uses the models


async def application(scope: Any, receive: Any, send: Any) -> None:
    await (pages if scope["type"] == "http" else server.asgi)(scope, receive, send)
