"""A server beside an application of Django."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.integration.asgi.servers import chat


def own(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("the application's own")


urlpatterns = [path("own", own)]


def make_django() -> Any:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", LOGGING_CONFIG=None)
    django.setup()
    pages = get_asgi_application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/chat/"):
            await pages(scope, receive, send)
        elif scope["type"] == "lifespan":
            await chat.asgi(scope, receive, send)
        else:
            await chat.asgi({**scope, "root_path": "/chat"}, receive, send)

    return application


app = make_django()
