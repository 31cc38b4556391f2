from __future__ import annotations

from crosswire.cluster.redis.log import announcements

NOW = [b"1000", b"500000"]


def noted(until: int, *fields: bytes) -> list[bytes]:
    return [each if index % 2 == 0 else b"%d %b" % (until, each) for index, each in enumerate(fields)]


def test_what_is_noted_is_read() -> None:
    fields = announcements.fields({"chat": (100, 300.0), "täglich": (7, 0.5)}, ["10.0.0.1:6379", "unix:/a b"])
    said = announcements.read(noted(1_000_001, *fields), NOW)
    assert said.namespaces == {"chat": (100, 300.0), "täglich": (7, 0.5)}
    assert said.holders == ("10.0.0.1:6379", "unix:/a b")


def test_what_has_ended_counts_no_more() -> None:
    assert announcements.read(noted(999_999, b"chat", b"100 300000", b"", b"a:1"), NOW) == ({}, ())


def test_what_cannot_be_read_is_left_out() -> None:
    notes = [b"chat", b"100 300000", b"other", b"x 1 1", b"\xff", b"1000001 1 1", b"good", b"1000001 1 1000"]
    assert announcements.read(notes, NOW) == ({"good": (1, 1.0)}, ())
