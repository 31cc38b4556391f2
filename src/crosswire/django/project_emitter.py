"""The emitter of a Django project."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.core.signals import setting_changed

from crosswire.django.project_settings import REDIS, SETTING, project_settings
from crosswire.emitter.emitter import Emitter
from crosswire.errors import ConfigError


@cache
def emitter() -> Emitter:
    """Return the project's :class:`~crosswire.Emitter`, for views, signals, management commands and tasks.

    It sends through the Redis in ``CROSSWIRE``. All threads of a process use the same one, and so do processes that are
    forked later.

    Raises:
        ConfigError: ``CROSSWIRE`` names no Redis, or can't be used.

    Example::

        @receiver(post_save, sender=Order)
        def tell(instance: Order, **_: Any) -> None:
            changed = {"id": instance.pk, "state": instance.state}
            transaction.on_commit(lambda: emitter().user(str(instance.buyer_id)).send("order", changed), robust=True)
    """
    redis = project_settings().redis
    if redis is None:
        raise ConfigError(
            f"{SETTING} in the settings names no Redis: add {REDIS!r}: 'redis://...', as the servers have"
        )
    return Emitter(redis=redis)


def _forget_emitter(*, setting: str, **_: Any) -> None:
    """Let the next call of :func:`emitter` make another one, if a test has overridden the setting."""
    if setting == SETTING:
        emitter.cache_clear()


def watch_overrides() -> None:
    """Make another emitter whenever a test overrides the setting."""
    setting_changed.connect(_forget_emitter)
