"""The app ``crosswire.django`` of ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from crosswire.django.checks import check_settings
from crosswire.django.project_emitter import watch_overrides


class CrosswireConfig(AppConfig):
    """The app, with its system checks and its management command."""

    name = "crosswire.django"
    label = "crosswire"
    verbose_name = "Crosswire"

    def ready(self) -> None:
        """Register the system check of the settings, and follow their changes."""
        register(check_settings)
        watch_overrides()
