from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

from crosswire import BusUnavailable, ConfigError, Emitter, NotConnected
from crosswire.emitter import emitter as module
from crosswire.emitter.connection import EmitterConnection


def test_without_redis_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"pip install 'crosswire\[emitter\]'"):
        Emitter(redis="redis://127.0.0.1:6379")


def test_redis_needs_no_keyword_and_the_arguments_of_a_call_have_their_names() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        with Emitter(f"redis://127.0.0.1:{silent.getsockname()[1]}") as emitter, pytest.raises(BusUnavailable):
            emitter.call(node="worker", event="resize", data={"size": 640})


def test_it_does_not_connect_while_another_thread_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    emitter, made = Emitter(redis="redis://127.0.0.1:1"), list[EmitterConnection]()

    def make(*arguments: Any) -> EmitterConnection:
        emitter.close()  # as another thread in this moment
        made.append(EmitterConnection(*arguments))
        return made[0]

    monkeypatch.setattr(module, "EmitterConnection", make)
    with pytest.raises(NotConnected, match="make another one"):
        emitter.everyone.send("news")
    with pytest.raises(NotConnected, match="was closed"), made[0].turn():
        pytest.fail("the connection is open")
