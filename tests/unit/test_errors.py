from __future__ import annotations

import pytest

from crosswire import errors
from crosswire.errors import (
    BusUnavailable,
    CallTimeout,
    ConfigError,
    CrosswireError,
    EventError,
    InvalidMessage,
    InvalidPayload,
    NodeGone,
    NoOwner,
    NotConnected,
    ProtocolFailure,
    Refused,
    Reject,
    UsageError,
)
from crosswire.types import Close


def test_all_errors_have_one_base_class() -> None:
    classes = [getattr(errors, name) for name in errors.__all__]
    assert len(classes) == 14
    assert all(issubclass(each, CrosswireError) for each in classes)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CrosswireError(), "CROSSWIRE_ERROR"),
        (UsageError(), "USAGE"),
        (ConfigError(), "CONFIG"),
        (Reject(), "REJECTED"),
        (NotConnected(), "WS_NOT_OPEN"),
        (Refused(4011), 4011),
        (CallTimeout(), "CALLBACK_TIMEOUT"),
        (NodeGone("b"), "NODE_GONE"),
        (NoOwner("game"), "NO_OWNER"),
        (BusUnavailable(), "BUS_UNAVAILABLE"),
        (EventError("full"), "full"),
        (InvalidPayload("no int"), "INVALID_PAYLOAD"),
        (InvalidMessage("no event"), "INVALID_MESSAGE"),
        (ProtocolFailure(1002, "reserved bits"), "PROTOCOL"),
    ],
)
def test_codes_are_stable(error: CrosswireError, code: str) -> None:
    assert error.code == code


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (UsageError, TypeError),
        (UsageError, ValueError),
        (NotConnected, ConnectionError),
        (CallTimeout, TimeoutError),
        (NodeGone, ConnectionError),
        (BusUnavailable, ConnectionError),
    ],
)
def test_errors_are_subclasses_of_the_builtin_ones(kind: type[Exception], builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise kind("text")


def test_a_refusal_of_a_client_has_the_close_and_the_status() -> None:
    refusal = Refused(4011, "Auth failure")
    assert (refusal.code, refusal.reason, refusal.status, refusal.close) == (
        4011,
        "Auth failure",
        None,
        (4011, "Auth failure"),
    )
    assert "4011 Auth failure" in str(refusal)
    assert Refused(1008, "HTTP 401", status=401).status == 401


def test_not_connected_may_have_the_last_close() -> None:
    assert NotConnected("never").close is None
    assert NotConnected("lost", Close(1006)).close == Close(1006)


def test_a_node_that_is_gone_is_named() -> None:
    error = NodeGone("b")
    assert error.name == "b"
    assert "'b'" in str(error)


def test_an_event_error_reads_as_its_code_and_message() -> None:
    error = EventError("full", "the room is full", sender="13")
    assert (str(error), error.message, error.sender) == ("full: the room is full", "the room is full", "13")


def test_an_event_error_without_a_message_reads_as_its_code() -> None:
    error = EventError("full")
    assert (str(error), error.message, error.sender) == ("full", "", None)


def test_an_invalid_payload_can_name_its_sender() -> None:
    assert InvalidPayload("no int", sender="13").sender == "13"


def test_an_invalid_message_keeps_the_id_of_its_call() -> None:
    assert InvalidMessage("no JSON", "a1").callback_id == "a1"
    assert InvalidMessage("no JSON").callback_id is None


def test_a_rejection_is_an_authentication_failure_unless_it_says_otherwise() -> None:
    reject = Reject()
    assert (reject.close_code, reject.reason, reject.status) == (4011, "", None)


def test_a_rejection_keeps_what_it_was_given() -> None:
    reject = Reject(4010, "logged out", status=403)
    assert (reject.close_code, reject.reason, reject.status) == (4010, "logged out", 403)
    assert str(reject) == "logged out"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 599])
def test_a_refusal_for_now_closes_with_a_code_after_which_clients_come_back(status: int) -> None:
    assert Reject(status=status).close_code == 1013
    assert Reject(4011, status=status).close_code == 4011


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_for_good_closes_as_one_without_a_status(status: int) -> None:
    assert Reject(status=status).close_code == 4011


@pytest.mark.parametrize(("reject", "text"), [(Reject(4012), "4012"), (Reject(status=401), "401")])
def test_a_rejection_without_a_reason_reads_as_its_code(reject: Reject, text: str) -> None:
    assert str(reject) == f"rejected with {text}"


@pytest.mark.parametrize("code", [1000, 1008, 3000, 4999])
def test_a_rejection_takes_codes_that_can_be_sent(code: int) -> None:
    assert Reject(code).close_code == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_a_rejection_refuses_codes_that_cannot_be_sent(code: int) -> None:
    with pytest.raises(UsageError, match=str(code)):
        Reject(code)


@pytest.mark.parametrize("status", [400, 401, 599])
def test_a_rejection_takes_statuses_that_refuse(status: int) -> None:
    assert Reject(status=status).status == status


@pytest.mark.parametrize("status", [0, 101, 200, 302, 399, 600])
def test_a_rejection_refuses_statuses_that_refuse_nothing(status: int) -> None:
    with pytest.raises(UsageError, match=str(status)):
        Reject(status=status)


def test_a_protocol_failure_says_how_to_close() -> None:
    failure = ProtocolFailure(1007, "no UTF-8")
    assert (failure.close_code, failure.reason, str(failure)) == (1007, "no UTF-8", "no UTF-8")
