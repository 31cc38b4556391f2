"""The phases of a connection come in order, and ``on_disconnect`` once, whatever waits and whenever a peer leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.cluster.node import Node
from crosswire.core.limits import Heartbeat, Limits
from crosswire.core.listeners import Hook
from crosswire.errors import NotConnected, Reject
from crosswire.server.authentication import Authentication
from crosswire.server.duplicates import Duplicates
from crosswire.server.handshake import Handshake
from crosswire.server.plain_http import PlainRoutes
from crosswire.server.socket import Socket
from crosswire.server.upgrade import Terms, Upgrades
from crosswire.transport.memory import MemoryClient, MemoryListener
from tests.support.fakes import FakeServer
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

STAGES = ("authenticate", "on_connect", "event", "on_disconnect")
EVENTS = ("say", "on_message", "on_pong", "on_heartbeat")
LIMITS = Limits(auth_timeout=4, linger=3, handlers=3, max_message=2000, close_timeout=1)


@dataclass(frozen=True)
class Step:
    """Duration of a hook or handler in seconds (None if it is synchronous), and its action at the end."""

    seconds: float | None = None
    then: str = ""


@dataclass
class Script:
    """Steps of the hooks of a server, and events by the second at which they happen."""

    hooks: dict[str, Step]
    acts: list[tuple[float, int, str]] = field(default_factory=list)
    duplicates: Duplicates = "replace"
    stops_at: float = 60
    drains: float = 0


class ScriptedServer:
    """A server that notes what begins and ends; connections by number."""

    def __init__(self, script: Script) -> None:
        self.server = FakeServer(LIMITS, Heartbeat(interval=1, timeout=1), duplicates=script.duplicates)
        self.log: list[tuple[str, str, str]] = []
        self._script = script
        authentication = Authentication()
        if "authenticate" in script.hooks:
            authentication.use(self._hook("authenticate"))
        for name in ("on_connect", "on_disconnect", *EVENTS[1:]):
            if name in script.hooks:
                hook: Hook[...] = getattr(self.server.hooks, name)
                hook(self._hook(name))
        for name in ("on_connect", "on_disconnect"):  # which are to be seen, and so to be there
            getattr(self.server.hooks, name)(self._hook(name, Step()))
        self.server.events.on("say", self._hook("say"))
        upgrades = Upgrades(
            PlainRoutes(Node()),
            authentication,
            Terms(),
            self.server.sessions,
            self.server.open_session,
            self.server.failures,
        )
        self._listener = MemoryListener(upgrades, LIMITS)

    def _hook(self, name: str, step: Step | None = None) -> Any:
        step = step or self._script.hooks.get(name, Step())

        def act(subject: Socket | Handshake) -> str | None:
            if step.then == "fails":
                raise RuntimeError(name)
            if step.then == "rejects":
                raise Reject(4011, name)
            if step.then == "closes" and isinstance(subject, Socket):
                subject.close(4000)
            return "the user" if step.then == "names" else None

        async def later(subject: Any) -> str | None:
            with self._noted(name, subject):
                if step.then == "calls" and isinstance(subject, Socket):
                    try:
                        await subject.call("whoami", timeout=step.seconds or 1)
                    except NotConnected:
                        return None
                else:
                    await asyncio.sleep(step.seconds or 0)
                return act(subject)

        def now(subject: Any) -> str | None:
            with self._noted(name, subject):
                return act(subject)

        return now if step.seconds is None else later

    @contextmanager
    def _noted(self, name: str, subject: Socket | Handshake) -> Iterator[None]:
        handshake = subject.handshake if isinstance(subject, Socket) else subject
        number = handshake.query["n"]
        self.log.append((number, name, "begins"))
        try:
            yield
        finally:
            self.log.append((number, name, "ends"))

    async def play(self) -> None:
        peers: dict[int, MemoryClient] = {}
        loop = asyncio.get_running_loop()
        began = loop.time()
        for at, number, act in sorted(self._script.acts):
            await asyncio.sleep(max(min(at, self._script.stops_at) - (loop.time() - began), 0))
            if at >= self._script.stops_at:
                break
            if act == "comes":
                if number not in peers:
                    peer = await self._listener.connect(f"/?n={number}")
                    if isinstance(peer, MemoryClient):
                        peers[number] = peer
            elif number in peers:
                self._do(peers[number], number, act)
        await asyncio.sleep(max(self._script.stops_at - (loop.time() - began), 0))
        drain, deadline = self.server.drain, loop.time() + self._script.drains + 1
        await drain.spread(self._script.drains)
        await drain.close_all(deadline)
        await drain.wait_for_handlers(deadline, None)
        await drain.finish_teardowns(None)
        assert not self.server.sessions.teardowns
        await self.server.end()

    def _do(self, peer: MemoryClient, number: int, act: str) -> None:
        if act == "leaves":
            peer.close(1000)
        elif act == "is lost":
            peer.abort()
        elif act == "says":
            peer.send_text('{"event":"say"}')
        elif act == "bursts":
            for _ in range(20):
                peer.send_text('{"event":"say"}')
        elif act == "pongs":
            peer.pong(b"")
        elif act == "beats":
            peer.send_text("")
        else:
            for each in tuple(self.server.registry.users.members):
                if each.socket.handshake.query["n"] == str(number):
                    each.socket.close(4010)


def require_order(log: list[tuple[str, str, str]]) -> None:
    """Fail unless each stage of each connection begins after the former has ended."""
    for number in {number for number, _, _ in log}:
        running: list[int] = []
        latest = 0
        for _, name, what in (entry for entry in log if entry[0] == number):
            stage = STAGES.index("event" if name in EVENTS else name)
            if what == "begins":
                assert all(each == stage for each in running), (number, name, log)
                assert stage >= latest, (number, name, log)
                latest = stage
                running.append(stage)
            else:
                running.remove(stage)
        assert running == []
        counts = [sum(entry == (number, name, "begins") for entry in log) for name in ("on_connect", "on_disconnect")]
        assert (counts[0] > 0) == (counts[1] > 0), log


seconds = st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5, 7.0, 1000.0]))
hooks = st.fixed_dictionaries(
    {},
    optional={
        "authenticate": st.builds(Step, seconds, st.sampled_from(["", "", "names", "names", "fails", "rejects"])),
        "on_connect": st.builds(Step, seconds, st.sampled_from(["", "", "", "calls", "fails", "rejects", "closes"])),
        "on_disconnect": st.builds(Step, seconds, st.sampled_from(["", "fails", "closes"])),
        **{
            name: st.builds(Step, seconds, st.sampled_from(["", "", "fails", "rejects", "closes", "calls"]))
            for name in EVENTS
        },
    },
)
deeds = st.sampled_from(["comes", "says", "bursts", "pongs", "beats", "leaves", "is lost", "is kicked"])
acts = st.lists(st.tuples(st.sampled_from([x / 4 for x in range(40)]), st.integers(1, 3), deeds), max_size=20)
scripts = st.builds(
    Script,
    hooks,
    acts.map(lambda given: [*given, (0.0, 1, "comes"), (1.0, 2, "comes")]),
    st.sampled_from(["replace", "refuse", "allow"]),
    st.sampled_from([0.5, 2.0, 5.0, 60.0]),
    st.sampled_from([0.0, 3.0]),
)


@pytest.fixture
def no_log() -> Iterator[None]:
    """Spare a test whose hooks fail all the time the thousands of lines that say so."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=60, deadline=None)
@given(scripts)
@pytest.mark.usefixtures("no_log")
async def test_hooks_and_handlers_run_in_the_order_of_the_phases(script: Script) -> None:
    scripted = ScriptedServer(script)
    await scripted.play()
    require_order(scripted.log)


async def run_script(*given: tuple[float, int, str], steps: dict[str, Step], stops_at: float = 60) -> list[str]:
    """Play one script; return what began and ended, of connection 1."""

    scripted = ScriptedServer(Script(steps, list(given), stops_at=stops_at))
    await scripted.play()
    require_order(scripted.log)
    return [f"{name} {what}" for number, name, what in scripted.log if number == "1" and name != "on_pong"]


GREETED = ["on_connect begins", "on_connect ends"]
LEFT = ["on_disconnect begins", "on_disconnect ends"]


@pytest.mark.parametrize("way", ["leaves", "is lost", "is kicked"])
async def test_on_disconnect_waits_for_on_connect(way: str) -> None:
    log = await run_script((0, 1, "comes"), (1, 1, way), steps={"on_connect": Step(3)})
    assert log == [*GREETED, *GREETED, *LEFT]


@pytest.mark.parametrize("way", ["leaves", "is lost"])
async def test_messages_from_before_a_peer_left_are_handled_before_on_disconnect(way: str) -> None:
    log = await run_script(
        (0, 1, "comes"), (0.5, 1, "says"), (1, 1, way), steps={"on_connect": Step(2), "say": Step(1)}
    )
    assert log == [*GREETED, *GREETED, "say begins", "say ends", *LEFT]


async def test_messages_from_before_a_close_by_the_server_are_not_handled() -> None:
    log = await run_script((0, 1, "comes"), (0.5, 1, "says"), (1, 1, "is kicked"), steps={"on_connect": Step(2)})
    assert log == [*GREETED, *GREETED, *LEFT]


@pytest.mark.parametrize("name", ["on_connect", "say", "on_message", "on_heartbeat"])
async def test_a_handler_that_never_ends_is_cancelled_after_linger(name: str, caplog: pytest.LogCaptureFixture) -> None:
    deed = {"on_heartbeat": "beats"}.get(name, "says")
    log = await run_script((0, 1, "comes"), (0.5, 1, deed), (1, 1, "leaves"), steps={name: Step(1000)})
    begins, ends = log.index(f"{name} begins"), len(log) - 1 - log[::-1].index(f"{name} ends")
    assert begins < ends < log.index("on_disconnect begins")
    assert "were still at work and are cancelled" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_handler_that_ignores_its_cancellation_is_not_waited_for_forever() -> None:
    scripted = ScriptedServer(Script({}, []))
    loop, log, gone = asyncio.get_running_loop(), list[str](), asyncio.Event()

    @scripted.server.events.on("stubborn")
    async def stubborn(socket: Socket) -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                log.append("no")

    @scripted.server.hooks.on_disconnect
    def told(socket: Socket) -> None:
        log.append("gone")
        gone.set()

    session, connection = scripted.server.connect(target="/?n=1")
    session.text('{"event":"stubborn"}')
    await asyncio.sleep(1)
    connection.close(1000)
    began = loop.time()
    await gone.wait()
    took = loop.time() - began
    await scripted.server.end()
    assert 2 * LIMITS.linger <= took < 2 * LIMITS.linger + 1
    assert log[:2] == ["no", "gone"]


@pytest.mark.parametrize("name", ["on_connect", "say"])
async def test_a_stop_cancels_handlers_and_calls_on_disconnect(name: str) -> None:
    log = await run_script(
        (0, 1, "comes"), (0.5, 1, "says"), stops_at=1, steps={"on_disconnect": Step(0.2), name: Step(1000)}
    )
    assert log[-4:] == ["on_disconnect begins", "on_disconnect ends", *LEFT]
    assert f"{name} ends" in log
