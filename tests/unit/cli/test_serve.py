from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from crosswire.cli.serve import _metrics_directory
from crosswire.runtime.shared_metrics import METRICS_DIRECTORY


def test_the_directory_for_metrics_is_there_while_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(METRICS_DIRECTORY, raising=False)
    with ExitStack() as held:
        made = _metrics_directory(held)
        assert made is not None
        assert Path(made).is_dir()
    assert not Path(made).exists()


def test_no_directory_is_made_if_one_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(METRICS_DIRECTORY, "/run/app/metrics")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ExitStack() as held:
        assert _metrics_directory(held) is None
    assert list(tmp_path.iterdir()) == []


def test_serving_goes_on_where_no_directory_can_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(METRICS_DIRECTORY, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with ExitStack() as held:
        assert _metrics_directory(held) is None
    assert METRICS_DIRECTORY in caplog.text
