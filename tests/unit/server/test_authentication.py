from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from typing import Annotated, Any, Literal, NewType, NoReturn, TypeVar
from uuid import UUID

import pytest

from crosswire.core.headers import Headers
from crosswire.errors import ConfigError, Reject, UsageError
from crosswire.server.authentication import Authentication, Verdict, verdict_for
from crosswire.server.handshake import Handshake
from tests.support.aio import run

HANDSHAKE = Handshake("/?id=13", Headers(), "127.0.0.1")
reject = Reject(4011, "Auth failure")


def verdict_of(hook: Callable[..., Any]) -> Verdict:
    authentication = Authentication()
    authentication.use(hook)
    return authentication.judge(HANDSHAKE)


async def settle(verdict: Verdict) -> Any:
    assert verdict.pending is not None
    return await verdict.pending()


def test_without_a_hook_everybody_is_let_in_under_a_generated_user() -> None:
    assert Authentication().judge(HANDSHAKE) == Verdict(user=None, reject=None, pending=None)


def test_a_hook_returns_the_user() -> None:
    assert verdict_of(lambda handshake: handshake.query["id"]) == Verdict(user="13")


@pytest.mark.parametrize("hook", [lambda: None, lambda handshake: None])
def test_a_hook_may_leave_the_user_to_be_generated(hook: Callable[..., Any]) -> None:
    assert verdict_of(hook) == Verdict()


def test_a_hook_may_refuse() -> None:
    def refuse(handshake: Handshake) -> str:
        raise reject

    assert verdict_of(refuse) == Verdict(reject=reject)


def test_other_exceptions_of_a_hook_reach_the_caller() -> None:
    with pytest.raises(KeyError, match="token"):
        verdict_of(lambda handshake: handshake.query["token"])


@pytest.mark.parametrize("user", [13, "", True, b"13", ["13"]])
def test_a_user_is_a_string_and_not_converted(user: Any) -> None:
    with pytest.raises(UsageError, match="the user that authenticate returns"):
        verdict_of(lambda: user)
    with pytest.raises(UsageError, match="the user that authenticate returns"):
        verdict_for(user)


def test_a_wrong_return_value_raises_advice_without_the_value() -> None:
    with pytest.raises(UsageError, match=r"not list: if it has an id, return str\(user.id\)") as refused:
        verdict_for(["secret"])
    assert "secret" not in str(refused.value)


UserId = NewType("UserId", str)
Number = NewType("Number", int)


class User:
    id = 13


class Role(StrEnum):
    ADMIN = "admin"


@pytest.mark.parametrize(
    "returns",
    [
        *(int, UUID, User, bool, bytes, list[str], tuple[str, int], float, int | None, str | int, Literal["a", 5]),
        *(Awaitable[int], Coroutine[Any, Any, UUID], asyncio.Future[bool], Number, Annotated[int, "id"], Handshake),
        *("int", "User | None"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_hook_annotated_with_a_wrong_return_type_is_refused(returns: Any, is_async: bool) -> None:
    async def later(handshake: Handshake) -> Any: ...
    def at_once(handshake: Handshake) -> Any: ...

    hook = later if is_async else at_once
    hook.__annotations__["return"] = returns
    authentication = Authentication()
    with pytest.raises(ConfigError, match=r"and a user is a string or None: if it has an id, return str\(user.id\)"):
        authentication.use(hook)
    assert authentication.judge(HANDSHAKE) == Verdict()


@pytest.mark.parametrize(
    "returns",
    [
        *(str, None, str | None, UserId, Role, Any, object, Literal["a"], Annotated[str, "id"], NoReturn, TypeVar("T")),
        *(Awaitable, Awaitable[str], Coroutine[Any, Any, str | None]),
        *("str | None", "Unknown"),
    ],
)
def test_a_hook_annotated_with_a_possible_user_type_is_accepted(returns: Any) -> None:
    def hook(handshake: Handshake) -> Any:
        return "13"

    hook.__annotations__["return"] = returns
    assert verdict_of(hook).user == "13"


def test_an_asynchronous_hook_is_pending() -> None:
    began: list[Handshake] = []

    async def hook(handshake: Handshake) -> str:
        began.append(handshake)
        return "13"

    verdict = verdict_of(hook)
    assert (verdict.user, verdict.reject, began) == (None, None, [])
    assert run(settle(verdict)) == "13"
    assert began == [HANDSHAKE]


def test_a_function_that_returns_a_coroutine_is_pending_too() -> None:
    async def look_up(handshake: Handshake) -> str:
        return handshake.query["id"]

    verdict = verdict_of(lambda handshake: look_up(handshake))
    assert verdict.user is None
    assert run(settle(verdict)) == "13"


def test_there_is_one_hook() -> None:
    authentication = Authentication()
    authentication.use(lambda: "first")
    with pytest.raises(ConfigError, match="there is an authenticate hook already"):
        authentication.use(lambda: "second")
    assert authentication.judge(HANDSHAKE).user == "first"


def test_a_hook_that_needs_more_than_the_handshake_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs 2 arguments"):
        Authentication().use(lambda handshake, token: "13")
