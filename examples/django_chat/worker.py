"""A worker in a process of its own: it takes jobs from a queue, and tells the user how far it is.

A task of Celery would do the same in its function: `emitter()` works there too, also after a fork.
"""

from __future__ import annotations

import os
from contextlib import suppress
from tempfile import gettempdir

import django
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "website.settings")
django.setup()

from conversations import jobs  # noqa: E402 - models can be imported from here on
from conversations.models import Message  # noqa: E402
from crosswire.django import emitter  # noqa: E402


def export(job: jobs.Export) -> None:
    """Write the messages of a room into a file."""
    user = emitter().user(job.user)
    messages = Message.objects.filter(room=job.room).order_by("pk")
    total = messages.count()
    path = os.path.join(gettempdir(), f"room-{job.user}.txt")
    with open(path, "w") as file:
        for number, message in enumerate(messages.select_related("author").iterator(), 1):
            file.write(f"{message.author.get_username()}: {message.text}\n")
            user.send("export", {"done": number, "total": total})
    user.send("exported", {"path": path})


def main() -> None:
    print("Waiting for jobs", flush=True)
    for job in jobs.each():
        close_old_connections()  # as before each request
        export(job)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
