from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator

import pytest

import crosswire
from crosswire.core.listeners import Hook
from crosswire.rooms.index import RoomIndex, RoomQueries

# What the package may load besides itself and the standard library; docs/dependencies.md says what each is for.
DEPENDENCIES = {"aiohappyeyeballs", "hiredis", "httptools", "msgspec", "picows", "uvloop", "websockets"}
THEIRS = {"aiofastnet", "cython_runtime", "multidict", "python_socks", "typing_extensions"}

APPLICATIONS_USE = [
    *(crosswire.Server, crosswire.Node, crosswire.Socket, crosswire.Audience, crosswire.Room),
    *(crosswire.Redis, crosswire.RedisControl, crosswire.MemoryBus, crosswire.ReplyStream),
    *(crosswire.Emitter, crosswire.EmitterAudience),
]


def public_methods(kind: type) -> Iterator[tuple[str, object]]:
    for base in kind.__mro__:
        if base.__module__.startswith("crosswire"):
            yield from ((name, value) for name, value in vars(base).items() if not name.startswith("_"))


@pytest.mark.parametrize("name", crosswire.__all__)
def test_a_public_name_exists_is_documented_and_can_be_found(name: str) -> None:
    value = getattr(crosswire, name)
    assert inspect.getdoc(value)
    assert inspect.getdoc(value) != inspect.getdoc(Exception)
    module = sys.modules[value.__module__]
    assert getattr(module, value.__qualname__) is value


def test_public_names_are_in_order_and_once() -> None:
    assert list(crosswire.__all__) == sorted(set(crosswire.__all__))


@pytest.mark.parametrize(
    "name",
    [
        *("Server", "Node", "Client", "Socket", "Handshake", "Audience", "Room", "Response"),
        *("Redis", "RedisControl", "Compat", "MemoryBus", "ReplyStream", "Emitter"),
        *("Refused", "Reject", "EventError", "InvalidPayload", "NotConnected", "CallTimeout", "ConfigError"),
        *("NodeGone", "NoOwner", "BusUnavailable"),
        *("Limits", "Heartbeat", "Replies", "Reply", "Tally", "Roster", "Locations", "RoomInfo", "RoomList", "Close"),
        *("Identity", "CloseCode", "Tls"),
        *("NodeInfo", "NodeStatus", "LinkStatus", "GapInfo", "OwnerChange", "SubscriptionFailure"),
    ],
)
def test_the_names_of_the_design_are_public(name: str) -> None:
    assert name in crosswire.__all__


@pytest.mark.parametrize("kind", [*APPLICATIONS_USE, Hook, RoomQueries, RoomIndex])
def test_every_public_method_is_documented(kind: type) -> None:
    callables = {name: value for name, value in public_methods(kind) if callable(value) or isinstance(value, property)}
    assert callables
    assert [name for name, value in callables.items() if not inspect.getdoc(value)] == []


@pytest.mark.parametrize("kind", APPLICATIONS_USE)
def test_every_public_method_is_annotated(kind: type) -> None:
    for name, value in public_methods(kind):
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty, name
            unannotated = [p.name for p in signature.parameters.values() if p.annotation is inspect.Parameter.empty]
            assert unannotated in ([], ["self"]), name


@pytest.mark.parametrize("kind", [*APPLICATIONS_USE, crosswire.Client])
def test_a_timeout_is_given_by_keyword(kind: type) -> None:
    for name, value in public_methods(kind):
        parameter = inspect.signature(value).parameters.get("timeout") if inspect.isfunction(value) else None
        assert parameter is None or parameter.kind is parameter.KEYWORD_ONLY, name


def test_importing_the_package_loads_only_what_it_needs() -> None:
    script = "import sys; before = set(sys.modules); import crosswire; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=50)
    loaded = done.stdout.split()
    assert "crosswire.server.server" in loaded
    packages = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert {name for name in packages if not name.startswith("_")} <= {"crosswire", *DEPENDENCIES, *THEIRS}
    assert not {"unittest", "doctest", "pdb", "tkinter", "sqlite3"} & set(loaded)
    assert [name for name in loaded if name.startswith(("crosswire.testing", "crosswire.cli.", "tests"))] == []
