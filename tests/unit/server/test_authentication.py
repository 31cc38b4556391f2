from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crosswire.core.headers import Headers
from crosswire.errors import ConfigError, Reject, UsageError
from crosswire.server.authentication import Authentication, Verdict, checked_user
from crosswire.server.handshake import Handshake
from tests.support.aio import run

HANDSHAKE = Handshake("/?id=13", Headers(), "127.0.0.1")
reject = Reject(4011, "Auth failure")


def judged(hook: Callable[..., Any]) -> Verdict:
    authentication = Authentication()
    authentication.use(hook)
    return authentication.judge(HANDSHAKE)


async def settled(verdict: Verdict) -> Any:
    assert verdict.pending is not None
    return await verdict.pending()


def test_without_a_hook_everybody_is_let_in_under_a_generated_user() -> None:
    assert Authentication().judge(HANDSHAKE) == Verdict(user=None, reject=None, pending=None)


def test_a_hook_names_the_user() -> None:
    assert judged(lambda handshake: handshake.query["id"]) == Verdict(user="13")


@pytest.mark.parametrize("hook", [lambda: None, lambda handshake: None])
def test_a_hook_may_leave_the_user_to_be_generated(hook: Callable[..., Any]) -> None:
    assert judged(hook) == Verdict()


def test_a_hook_may_refuse() -> None:
    def refuse(handshake: Handshake) -> str:
        raise reject

    assert judged(refuse) == Verdict(reject=reject)


def test_what_else_a_hook_raises_is_the_callers_to_handle() -> None:
    with pytest.raises(KeyError, match="token"):
        judged(lambda handshake: handshake.query["token"])


@pytest.mark.parametrize("user", [13, "", True, b"13", ["13"]])
def test_a_user_is_a_string_and_not_converted(user: Any) -> None:
    with pytest.raises(UsageError, match="the user that authenticate returns"):
        judged(lambda: user)
    with pytest.raises(UsageError, match="the user that authenticate returns"):
        checked_user(user)


def test_an_asynchronous_hook_is_left_to_be_run() -> None:
    began: list[Handshake] = []

    async def hook(handshake: Handshake) -> str:
        began.append(handshake)
        return "13"

    verdict = judged(hook)
    assert (verdict.user, verdict.reject, began) == (None, None, [])
    assert run(settled(verdict)) == "13"
    assert began == [HANDSHAKE]


def test_a_function_that_gives_a_coroutine_is_asynchronous_too() -> None:
    async def look_up(handshake: Handshake) -> str:
        return handshake.query["id"]

    verdict = judged(lambda handshake: look_up(handshake))
    assert verdict.user is None
    assert run(settled(verdict)) == "13"


def test_there_is_one_hook() -> None:
    authentication = Authentication()
    authentication.use(lambda: "first")
    with pytest.raises(ConfigError, match="there is an authenticate hook already"):
        authentication.use(lambda: "second")
    assert authentication.judge(HANDSHAKE).user == "first"


def test_a_hook_that_needs_more_than_the_handshake_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs 2 arguments"):
        Authentication().use(lambda handshake, token: "13")
