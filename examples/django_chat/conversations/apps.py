"""The app of the conversations."""

from __future__ import annotations

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    """The app of rooms and messages."""

    name = "conversations"
