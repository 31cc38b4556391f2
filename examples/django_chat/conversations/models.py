"""What is kept of a conversation."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models


class Message(models.Model):
    """A message in a room."""

    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    room = models.CharField(max_length=50, db_index=True)
    text = models.CharField(max_length=2000)
    sent_at = models.DateTimeField(auto_now_add=True)

    def for_clients(self) -> dict[str, Any]:
        """Return what clients get of it."""
        return {"id": self.pk, "room": self.room, "author": self.author.get_username(), "text": self.text}
