from __future__ import annotations

from threading import Thread

import pytest
from django.test import override_settings

from crosswire import ConfigError, Emitter
from crosswire.django import emitter

REDIS = "unix:///run/no-redis.sock"


@override_settings(CROSSWIRE={"REDIS": REDIS})
def test_all_of_a_process_use_one_emitter() -> None:
    found: list[Emitter] = []
    thread = Thread(target=lambda: found.append(emitter()))
    thread.start()
    thread.join()
    assert found == [emitter()]
    assert repr(REDIS) in repr(emitter())


def test_a_test_that_overrides_the_setting_has_another_emitter() -> None:
    with override_settings(CROSSWIRE={"REDIS": REDIS}):
        first = emitter()
        with override_settings(CROSSWIRE={"REDIS": "unix:///run/another.sock"}):
            assert emitter() is not first
            assert "another" in repr(emitter())
        with override_settings(DEBUG=True):
            assert "no-redis" in repr(emitter())


@pytest.mark.parametrize("value", [{}, {"REDIS": None}, {"SERVER": "chat.realtime:server"}])
def test_without_a_redis_the_error_says_what_to_add(value: object) -> None:
    with override_settings(CROSSWIRE=value), pytest.raises(ConfigError, match="names no Redis: add 'REDIS'"):
        emitter()


def test_wrong_settings_are_told() -> None:
    with override_settings(CROSSWIRE={"REDISS": REDIS}), pytest.raises(ConfigError, match="did you mean 'REDIS'"):
        emitter()
