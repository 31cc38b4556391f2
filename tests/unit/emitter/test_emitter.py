from __future__ import annotations

import sys

import pytest

from crosswire import ConfigError, Emitter


def test_without_redis_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"pip install 'crosswire\[emitter\]'"):
        Emitter(redis="redis://127.0.0.1:6379")
