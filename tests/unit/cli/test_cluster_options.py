from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crosswire import Compat, Redis
from crosswire.cli.arguments import parse
from crosswire.cli.cluster_options import SECRET, SECRET_FILE, VARIABLE, checked_redis, chosen_urls, redis_of
from crosswire.cli.failures import CommandFailed
from crosswire.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def urls(*words: str) -> tuple[str, ...]:
    return chosen_urls(parse(["nodes", *words]))


def test_without_options_there_is_no_cluster() -> None:
    assert urls() == ()
    assert redis_of((), None) is None


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "redis://a, redis://b,")
    assert urls() == ("redis://a", "redis://b")
    monkeypatch.setenv(VARIABLE, "redis+sentinel://:p@a,b:1/main,unix:///c,embedded:x , REDIS://d")
    assert urls() == ("redis+sentinel://:p@a,b:1/main", "unix:///c", "embedded:x", "REDIS://d")
    assert urls("--redis", "redis://c") == ("redis://c",)
    assert urls("--embedded") == (f"embedded:{Path.cwd().resolve()}",)
    assert urls("--redis", "embedded:shop") == ("embedded:shop",)


def test_an_empty_variable_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert urls() == ()


def test_a_prefix_needs_a_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandFailed, match="--prefix is for a Redis") as failure:
        urls("--prefix", "x:")
    assert failure.value.exit_code == 2
    monkeypatch.setenv(VARIABLE, "redis://a")
    assert urls("--prefix", "x:") == ("redis://a",)


def test_a_bus_has_the_urls_and_the_prefix() -> None:
    with_default, with_prefix = redis_of(["redis://a"], None), redis_of(["redis://a"], "x:")
    assert with_default is not None
    assert with_prefix is not None
    assert (with_default.all_urls, with_default.prefix, with_prefix.prefix) == (("redis://a",), "cw:", "x:")


def test_a_bus_keeps_the_other_options_of_the_one_it_replaces() -> None:
    own = Redis(
        "redis://own", compat=Compat(compress=False, preset_namespaces=["lobby"]), prefix="own:", strategy="random"
    )
    assert redis_of((), None, own) is None
    assert redis_of(["redis://a"], None, own) == replace(own, urls=["redis://a"])
    assert redis_of(["redis://a"], "x:", own) == replace(own, urls=["redis://a"], prefix="x:")


def test_an_invalid_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not begin with redis://"):
        redis_of(["localhost"], None)


def test_the_secret_comes_from_a_file_or_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own, other, file = "own secret of 16 bytes".replace(" ", "-"), "other-secret-of-16-bytes", tmp_path / "secret"
    for name in (SECRET, SECRET_FILE):
        monkeypatch.delenv(name, raising=False)
    mine = Redis("redis://own", secret=own)

    def keys(bus: Redis | None) -> tuple[bytes, ...]:
        assert bus is not None
        return bus.keys

    assert keys(redis_of(["redis://a"], None, mine)) == (own.encode(),)
    monkeypatch.setenv(SECRET, f" {other} ")
    assert keys(redis_of(["redis://a"], None, mine)) == (other.encode(),)
    file.write_text(f"{own}\n{other}\n")
    monkeypatch.setenv(SECRET_FILE, "none")
    bus = checked_redis(parse(["nodes", "--redis", "redis://a", "--secret-file", str(file)]))
    assert keys(bus) == (own.encode(), other.encode())
    for text in (None, "", "short"):
        file.unlink() if text is None else file.write_text(text)
        with pytest.raises(CommandFailed, match="secret") as failure:
            checked_redis(parse(["nodes", "--redis", "redis://a", "--secret-file", str(file)]))
        assert "short" not in str(failure.value)
