from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from crosswire import ConfigError, Redis
from crosswire.django.project_settings import ProjectSettings, problems, project_settings

UNIX = "unix:///run/redis.sock"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("redis://", "CROSSWIRE is a dict with the keys SERVER and REDIS, not str"),
        (None, "CROSSWIRE is a dict with the keys SERVER and REDIS, not NoneType"),
        ({"REDISS": UNIX}, "CROSSWIRE has no key 'REDISS': did you mean 'REDIS'?"),
        ({"server": "chat:server"}, "CROSSWIRE has no key 'server': did you mean 'SERVER'?"),
        ({1: 2}, "CROSSWIRE has no key 1: use SERVER and REDIS"),
        ({"SERVER": 3}, "CROSSWIRE['SERVER'] is a text such as 'chat.realtime:server', not int"),
        (
            {"SERVER": "chat.realtime.server"},
            "CROSSWIRE['SERVER'] is 'chat.realtime.server': write MODULE:SERVER, such as 'chat.realtime:server'",
        ),
        (
            {"SERVER": "chat/realtime:server"},
            "CROSSWIRE['SERVER'] is 'chat/realtime:server': write MODULE:SERVER, such as 'chat.realtime:server'",
        ),
        ({"SERVER": ""}, "CROSSWIRE['SERVER'] is '': write MODULE:SERVER, such as 'chat.realtime:server'"),
        ({"REDIS": 6379}, "CROSSWIRE['REDIS']: Redis(urls): give a url or a list of them, not int"),
        ({"REDIS": []}, "CROSSWIRE['REDIS']: Redis(urls): "),
        ({"REDIS": "http://10.0.0.1"}, "CROSSWIRE['REDIS']: Redis(urls), number 1: "),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(value: Any, told: str) -> None:
    (problem,) = problems(value)
    assert problem.startswith(told)

    with override_settings(CROSSWIRE=value), pytest.raises(ConfigError) as raised:
        project_settings()
    assert str(raised.value) == problem


def test_all_problems_are_found_by_the_system_checks() -> None:
    with override_settings(CROSSWIRE={"SERVER": "chat", "REDDIS": UNIX}):
        found = checks.run_checks()
    assert [(each.id, each.is_serious()) for each in found] == [("crosswire.E001", True)] * 2
    assert "did you mean 'REDIS'?" in found[0].msg


def test_commands_refuse_to_run_with_wrong_settings() -> None:
    with (
        override_settings(CROSSWIRE={"REDIS": "http://10.0.0.1"}),
        pytest.raises(SystemCheckError, match=r"crosswire\.E001.*CROSSWIRE\['REDIS'\]"),
    ):
        call_command("runcrosswire", skip_checks=False)


def test_what_is_not_set_is_none() -> None:
    assert project_settings() == ProjectSettings(server=None, redis=None)
    assert checks.run_checks() == []


@pytest.mark.parametrize("redis", [UNIX, [UNIX], Redis(UNIX)])
def test_redis_is_a_url_or_several_or_has_options(redis: Any) -> None:
    with override_settings(CROSSWIRE={"SERVER": "chat.realtime:server", "REDIS": redis}):
        found = project_settings()
    assert found.server == "chat.realtime:server"
    assert found.redis is not None
    assert found.redis.all_urls == (UNIX,)


def test_options_of_redis_are_kept() -> None:
    with override_settings(CROSSWIRE={"REDIS": Redis(UNIX, prefix="shop:")}):
        found = project_settings().redis
    assert found == Redis(UNIX, prefix="shop:")
