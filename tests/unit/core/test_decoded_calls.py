from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from crosswire.core.codecs import CLIENT_JSON, JSON, MSGPACK, NODE_MSGPACK, Codec
from crosswire.core.decoded_calls import decoded_call
from crosswire.core.messages import ABSENT
from crosswire.core.payload_types import payload_type
from crosswire.errors import InvalidPayload

CODECS: dict[str, tuple[Codec, Callable[[Any], bytes]]] = {
    "json": (JSON, msgspec.json.encode),
    "client's json": (CLIENT_JSON, msgspec.json.encode),
    "msgpack": (MSGPACK, msgspec.msgpack.encode),
    "nodes' msgpack": (NODE_MSGPACK, msgspec.msgpack.encode),
}


def together(*arguments: Any) -> tuple[Any, ...]:
    return arguments


@pytest.fixture(params=CODECS)
def wire(request: pytest.FixtureRequest) -> tuple[Codec, Callable[[Any], bytes]]:
    return CODECS[request.param]


@pytest.mark.parametrize(
    ("arity", "takes_data", "arguments"),
    [(2, True, ("subject", 5)), (1, True, (5,)), (1, False, ("subject",)), (0, False, ())],
)
def test_a_handler_gets_as_much_as_it_takes(
    wire: tuple[Codec, Callable[[Any], bytes]], arity: int, takes_data: bool, arguments: tuple[Any, ...]
) -> None:
    codec, encode = wire
    call = decoded_call(together, codec, payload_type(int), None, arity=arity, takes_data=takes_data)
    assert call("subject", msgspec.Raw(encode(5))) == arguments


@pytest.mark.parametrize("arity", [1, 2])
def test_absent_data_is_none(wire: tuple[Codec, Callable[[Any], bytes]], arity: int) -> None:
    codec, _ = wire
    call = decoded_call(together, codec, payload_type(int | None), None, arity=arity, takes_data=True)
    assert call("subject", ABSENT)[-1] is None
    with pytest.raises(InvalidPayload):
        decoded_call(together, codec, payload_type(int), None, arity=arity, takes_data=True)("subject", ABSENT)


@pytest.mark.parametrize("arity", [1, 2])
def test_data_that_does_not_fit_reaches_no_handler(wire: tuple[Codec, Callable[[Any], bytes]], arity: int) -> None:
    codec, encode = wire
    called: list[Any] = []
    call = decoded_call(lambda *them: called.append(them), codec, payload_type(int), None, arity=arity, takes_data=True)
    with pytest.raises(InvalidPayload, match="Expected `int`"):
        call("subject", msgspec.Raw(encode("five")))
    assert called == []
    call("subject", msgspec.Raw(encode(5)))
    assert len(called) == 1


def test_what_a_handler_raises_is_not_taken_for_data_that_does_not_fit() -> None:
    def fail(subject: Any, data: Any) -> None:
        raise ValueError("the handler's own")

    call = decoded_call(fail, JSON, payload_type(int), None, arity=2, takes_data=True)
    with pytest.raises(ValueError, match="the handler's own"):
        call("subject", msgspec.Raw(b"5"))
