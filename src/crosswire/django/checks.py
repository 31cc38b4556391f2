"""The system check of the app, which ``manage.py check`` and every other command run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error

from crosswire.django.project_settings import SETTING, problems


def check_settings(*, app_configs: Sequence[AppConfig] | None, **_options: Any) -> list[CheckMessage]:
    """Report what is wrong with the setting ``CROSSWIRE``."""
    return [Error(problem, id="crosswire.E001") for problem in problems(getattr(settings, SETTING, {}))]
