from __future__ import annotations

from typing import Any

import pytest

from crosswire.cluster.compat import Compat
from crosswire.cluster.redis.options import Redis
from crosswire.errors import ConfigError

URL = "redis://127.0.0.1:6379"


@pytest.mark.parametrize(
    ("urls", "all_urls"),
    [(URL, (URL,)), ([URL, "unix:///a"], (URL, "unix:///a")), (("embedded:shop", URL), ("embedded:shop", URL))],
)
def test_one_url_or_several(urls: Any, all_urls: tuple[str, ...]) -> None:
    assert Redis(urls).all_urls == all_urls


@pytest.mark.parametrize(
    "urls",
    [
        [],
        "",
        None,
        6379,
        b"redis://h",
        [URL, 5],
        ["localhost"],
        [URL, URL],
        [URL, "rediss://bob:pw@127.0.0.1/2"],
        ["embedded", "embedded"],
        ["embedded:/", "embedded://"],
        "embedded:",
        "embedded: shop",
        "embedded:a/b",
        "embedded:a\nb",
        "embedded:\ud800",
    ],
)
def test_invalid_urls_are_refused(urls: Any) -> None:
    with pytest.raises(ConfigError):
        Redis(urls)


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "best"},
        {"strategy": None},
        {"delivery": "twice"},
        {"overflow": "block"},
        {"prefix": ""},
        {"prefix": b"cw:"},
        {"prefix": "\ud800"},
        {"ping_interval": 0},
        {"ping_interval": True},
        {"ping_interval": "1"},
        {"ping_timeout": -1},
        {"ping_timeout": float("nan")},
        {"ping_timeout": float("inf")},
        {"compat": 1},
        {"compat": Compat},
        {"auto_unsubscribe": 0},
        {"buffer": 0},
        {"buffer": 1.5},
        {"buffer": True},
    ],
)
def test_invalid_options_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Redis(URL, **wrong)


def test_original_servers_can_not_have_redundant_delivery() -> None:
    with pytest.raises(ConfigError, match="duplicates"):
        Redis(URL, compat=True, delivery="redundant")


def test_compat_is_true_or_has_options() -> None:
    assert Redis(URL).compat_options is None
    assert Redis(URL, compat=True).compat_options == Compat()
    options = Compat(compress=False, preset_namespaces=["chat"])
    assert Redis(URL, compat=options).compat_options is options


def test_no_password_is_shown() -> None:
    options = Redis(["redis://bob:s3cr3t@h", "unix://:s3cr3t@/p", "embedded:shop"], buffer=1000, strategy="random")
    assert repr(options) == ("Redis(['redis://h:6379', 'unix:///p', 'embedded:shop'], strategy='random', buffer=1000)")
    with pytest.raises(ConfigError) as refused:
        Redis(["redis://bob:s3cr3t@h", "redis://:s3cr3t@h"])
    assert "s3cr3t" not in str(refused.value)
    assert "redis://h:6379 is there twice" in str(refused.value)
