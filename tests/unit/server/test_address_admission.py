from __future__ import annotations

from crosswire.core.limits import Limits
from crosswire.server.address_admission import AddressAdmission, address_admission


def test_without_limits_there_is_none() -> None:
    assert address_admission(Limits()) is None
    assert address_admission(Limits(address_rate=1)) is not None
    assert address_admission(Limits(address_connections=1)) is not None


def test_an_address_has_as_many_connections_as_it_may_have() -> None:
    admission = AddressAdmission(2, None)
    for _ in range(2):
        assert admission.refusal("10.0.0.1") is None
        admission.opened("10.0.0.1")
    refusal = admission.refusal("::ffff:10.0.0.1")
    assert refusal is not None
    assert (refusal.status, refusal.headers) == (429, {"Retry-After": "5"})
    assert admission.refusal("10.0.0.2") is None
    assert admission.refusal("") is None
    admission.closed("10.0.0.1")
    assert admission.refusal("10.0.0.1") is None


def test_an_address_connects_no_faster_than_it_may() -> None:
    now = [0.0]
    admission = AddressAdmission(None, 0.5, lambda: now[0])
    assert [admission.refusal("2001:db8::1") is None for _ in range(6)] == [True] * 5 + [False]
    refusal = admission.refusal("2001:db8::2")
    assert refusal is not None
    assert (refusal.status, refusal.headers) == (429, {"Retry-After": "2"})
    now[0] = 2
    assert admission.refusal("2001:db8::2") is None
