"""The one page of a small project."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path


def name(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


urlpatterns = [path("name", name)]
