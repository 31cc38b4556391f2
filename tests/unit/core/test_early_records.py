from __future__ import annotations

from crosswire.core.early_records import (
    EARLY_OVERHEAD,
    MAX_EARLY,
    MAX_EARLY_BYTES,
    MAX_EARLY_EPOCHS,
    EarlyRecords,
)
from tests.support.kept import kept


def test_records_are_held_by_epoch_until_they_are_taken() -> None:
    early = EarlyRecords()
    early.hold("epoch-E0", kept(7))
    early.hold("epoch-E0", kept(5))
    early.hold("epoch-F0", None)
    assert list(early.epochs) == ["epoch-E0", "epoch-F0"]
    assert early.take("epoch-E0") == {5: kept(5), 7: kept(7)}
    assert early.take("epoch-E0") == {}
    assert early.take("epoch-F0") == {}
    assert early.epochs == {}


def test_a_twin_is_held_once() -> None:
    early = EarlyRecords()
    for _ in range(MAX_EARLY * 2):
        early.hold("epoch-E0", kept(7))
    assert not early.are_too_many


def test_their_number_is_limited() -> None:
    early = EarlyRecords()
    for offset in range(MAX_EARLY):
        early.hold("epoch-E0", kept(offset))
    assert not early.are_too_many
    early.hold("epoch-F0", kept(1))
    assert early.are_too_many
    early.take("epoch-E0")
    assert not early.are_too_many


def test_their_bytes_are_limited() -> None:
    early = EarlyRecords()
    early.hold("epoch-E0", kept(1, size=MAX_EARLY_BYTES - EARLY_OVERHEAD))
    assert not early.are_too_many
    early.hold("epoch-E0", kept(2, size=1))
    assert early.are_too_many
    early.drop_all()
    assert not early.are_too_many


def test_their_epochs_are_limited() -> None:
    early = EarlyRecords()
    for index in range(MAX_EARLY_EPOCHS):
        early.hold(f"E{index:07}", None)
    assert not early.are_too_many
    early.hold("epoch-F0", None)
    assert early.are_too_many
