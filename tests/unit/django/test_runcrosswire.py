from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, SystemCheckError
from django.test import override_settings

NAMED = {"SERVER": "chat.realtime:server"}


@pytest.mark.parametrize(
    ("value", "words", "told"),
    [
        ({}, [], r"CROSSWIRE in the settings names no server: add 'SERVER'"),
        (NAMED, ["--workers", "0"], "'0' is no number of processes"),
        (NAMED, ["--prefix", "a:"], "--prefix is for a Redis"),
        (NAMED, ["--redis", "http://10.0.0.1"], "--redis: number 1: "),
        (NAMED, ["--reload", "--workers", "2"], "--workers can't be given with --reload"),
        (NAMED, ["--reload", "--embedded"], "--embedded can't be given with --reload"),
        (NAMED, ["--reload", "--tls-key", "key.pem"], "--tls-key can't be given with --reload"),
        (NAMED, ["--port", "99999"], "'99999' is no port"),
    ],
)
def test_it_refuses_what_can_not_work_before_it_starts_anything(
    value: dict[str, str], words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CROSSWIRE_REDIS", raising=False)
    with override_settings(CROSSWIRE=value), pytest.raises(CommandError, match=told):
        call_command("runcrosswire", *words)


def test_it_checks_the_settings_first() -> None:
    with (
        override_settings(CROSSWIRE={"SERVER": "chat.realtime.server"}),
        pytest.raises(SystemCheckError, match=r"write MODULE:SERVER, such as 'chat.realtime:server'"),
    ):
        call_command("runcrosswire", skip_checks=False)
