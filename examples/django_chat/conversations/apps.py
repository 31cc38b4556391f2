"""The app of the conversations."""

from __future__ import annotations

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    """The app, with what it does at a logout."""

    name = "conversations"

    def ready(self) -> None:
        """Connect the receivers of signals."""
        from . import logout  # noqa: F401 - models can be used from here on
