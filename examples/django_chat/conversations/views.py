"""Pages and forms, served by any WSGI server. They send through Redis, by ``emitter()``."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from crosswire.django import emitter

from . import jobs
from .models import Message


@login_required
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "conversations/page.html")


@login_required
@require_POST
@transaction.atomic
def say(request: HttpRequest) -> HttpResponse:
    message = Message.objects.create(author=request.user, room=request.POST["room"], text=request.POST["text"])
    # After the commit: nobody hears of what is rolled back. Robust: the message is saved, even if Redis is away.
    transaction.on_commit(lambda: announce(message), robust=True)
    return JsonResponse(message.for_clients(), status=201)


def announce(message: Message) -> None:
    emitter().room("conversations", message.room).send("said", message.for_clients())


@login_required
@require_POST
def export(request: HttpRequest) -> HttpResponse:
    jobs.add(jobs.Export(user=str(request.user.pk), room=request.POST["room"]))
    return HttpResponse(status=202)
