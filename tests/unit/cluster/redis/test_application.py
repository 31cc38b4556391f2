from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.cluster.redis.application import application_of, described, is_embedded, short_name
from crosswire.cluster.redis.options import Redis
from crosswire.errors import ConfigError


@pytest.mark.parametrize("url", ["embedded", "embedded:shop", "embedded:/srv/shop", "embedded:"])
def test_values_that_mean_embedded(url: str) -> None:
    assert is_embedded(url)


@pytest.mark.parametrize("url", ["embeded", "embeddedshop", "Embedded", "redis://embedded", None, 5])
def test_values_that_do_not_mean_embedded(url: object) -> None:
    assert not is_embedded(url)


def test_a_folder_is_the_same_however_it_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, link = tmp_path / "shop ünd %41?#é", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    found = set()
    for way in (folder, link, folder / ".." / folder.name):
        monkeypatch.chdir(way)
        found |= {application_of("embedded"), application_of(f"embedded:{way}/")}
    assert found == {f"embedded:{folder.resolve()}"}


def test_different_folders_and_names_have_different_databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    for name in ("shop", "bank"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        places += [application_of("embedded"), application_of(f"embedded:{name}"), application_of("embedded:both")]
    assert len(set(places)) == len({short_name(place) for place in places}) == 5


def test_the_folder_is_the_working_directory_when_the_options_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    redis = Redis("embedded")
    monkeypatch.chdir("/")
    assert redis.all_urls == (f"embedded:{tmp_path.resolve()}",)
    assert str(tmp_path.resolve()) in repr(redis)


def test_a_deleted_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"current folder.*embedded:NAME"):
        application_of("embedded")


@given(st.text())
def test_a_name_is_refused_or_gets_a_short_directory(name: str) -> None:
    try:
        application = application_of(f"embedded:{name}")
    except ConfigError:
        return
    assert application_of(application) == application
    assert len(short_name(application)) == 16
    assert short_name(application).isalnum()


def test_the_log_says_who_shares_the_embedded_redis() -> None:
    assert described("embedded:/srv/shop") == "what is started in the folder /srv/shop"
    assert described("embedded:shop") == "what is given redis='embedded:shop'"
