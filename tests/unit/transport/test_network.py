from __future__ import annotations

import sys
from typing import Any

import pytest

from crosswire import ConfigError, Limits, Server
from crosswire.transport.network import make_application


async def app(scope: Any, receive: Any, send: Any) -> None: ...


def test_without_uvicorn_an_application_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "uvicorn"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("crosswire.transport.uvicorn_application", "crosswire.transport.uvicorn_protocol"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError, match=r"pip install 'crosswire\[http\]'"):
        make_application(app, lambda request: True, Limits())
    with pytest.raises(ConfigError, match=r"pip install 'crosswire\[http\]'"):
        Server(app=app)
    Server()
