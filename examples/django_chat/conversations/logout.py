"""Ends the connections of a user who logs out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.dispatch import receiver

from crosswire import CloseCode
from crosswire.django import emitter


@receiver(user_logged_out)
def close_connections(user: AbstractUser | None, **_: Any) -> None:
    if user is not None:
        of_user = emitter().user(str(user.pk))
        # Robust: a user can log out, even if Redis is away.
        transaction.on_commit(lambda: of_user.close(CloseCode.FORCED_LOGOUT, "logged out"), robust=True)
