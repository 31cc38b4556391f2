"""Replays the golden cases in ``spec/``, as the tests of ``clients/js`` do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crosswire.client import Client
from crosswire.client.phases import PhaseMachine, Trigger
from crosswire.client.retries import Retries, reconnects_unless_final
from crosswire.client.url import join_params
from crosswire.core.backoff import Backoff
from crosswire.errors import ConfigError, CrosswireError, EventError, NotConnected, Refused
from crosswire.runtime import environment
from crosswire.types import Close
from tests.support.loops import on_instant_loop
from tests.unit.client.fake_client import FakeClient, settle

pytestmark = on_instant_loop

SPEC = Path(__file__).parents[3] / "spec"
Case = dict[str, Any]
PLAYS = ("conversations", "listeners", "texts", "recovery", "reconnection", "admission", "phases")
FROM_THE_BEGINNING = ("reconnection", "admission", "phases")


def cases(name: str) -> list[Case]:
    found = json.loads((SPEC / f"{name}.json").read_text(encoding="utf-8"))
    return list(found["plays"] if name == "phases" else found)


@pytest.mark.parametrize("case", cases("backoff"), ids=lambda case: str(case["options"]))
def test_backoff(case: Case) -> None:
    options = case["options"]
    backoff = Backoff(options["fastRetries"], options["fastInterval"], options["maxInterval"])
    attempts = range(1, len(case["draws"]) + 1)
    assert [backoff.bound(attempt) for attempt in attempts] == case["bounds"]
    retries = Retries(backoff, len(case["draws"]), iter(case["draws"]).__next__)
    assert list(iter(retries.next, None)) == list(zip(attempts, case["delays"], strict=True))


@pytest.mark.parametrize("case", cases("close_codes"), ids=lambda case: str(case["code"]))
def test_close_codes(case: Case) -> None:
    assert reconnects_unless_final(Close(case["code"])) is case["reconnects"]


@pytest.mark.parametrize("case", cases("urls"), ids=lambda case: case["url"])
def test_urls(case: Case) -> None:
    if "joined" in case:
        assert join_params(case["url"], case["params"]) == case["joined"]
    else:
        with pytest.raises(ConfigError):
            join_params(case["url"], case["params"])


def snake(options: Case) -> Case:
    """Options by their Python names."""
    return {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name): value for name, value in options.items()}


@pytest.mark.parametrize("case", cases("options"), ids=lambda case: case["option"])
def test_options(case: Case) -> None:
    for value in case["taken"]:
        Client("ws://test", **snake({case["option"]: value}))
    for value in case["refused"]:
        with pytest.raises(ConfigError):
            Client("ws://test", **snake({case["option"]: value}))


@pytest.mark.parametrize(
    ("kind", "case"),
    [(kind, case) for kind in PLAYS for case in cases(kind)],
    ids=lambda value: value if isinstance(value, str) else value["name"],
)
async def test_play(kind: str, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "random", lambda: 0.5)
    passed: list[str] = []
    move = PhaseMachine.move

    def noted_move(machine: PhaseMachine, trigger: Trigger) -> None:
        move(machine, trigger)
        passed.append(machine.phase.value)

    monkeypatch.setattr(PhaseMachine, "move", noted_move)
    runner = CaseRunner(case, passed)
    if kind not in FROM_THE_BEGINNING:
        await runner.begin()
    for step in case["steps"]:
        ((verb, value),) = step.items()
        await getattr(runner, verb)(value)
    await runner.end(strict=kind not in FROM_THE_BEGINNING)


class FixedTrace:
    """Traces a client whose messages are always at the same place."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.answering = self

    def traceparent(self) -> str:
        return self._place

    @staticmethod
    def unchanged(part: Any) -> Any:
        return part

    callers = answerer = router = calls = unchanged


class CaseRunner:
    """A client to which the steps of a case happen: its methods. ``spec/README.md`` says what they mean."""

    def __init__(self, case: Case, passed: list[str]) -> None:
        options = snake(case.get("options", {}))
        if "final" in case:
            options["reconnect_policy"] = lambda close: close.code not in case["final"]
        if "params" in case:
            options["params"] = lambda: case["params"]
        self.fake = FakeClient(**options)
        self.client = self.fake.client
        if "traceparent" in case:
            self.client.observe(FixedTrace(case["traceparent"]))
        self.notices = 0
        self.passed = passed
        self.seen: list[Any] = []
        self.calls: list[asyncio.Task[Any]] = []
        self.connects: list[asyncio.Task[None]] = []
        self.named: dict[str, Callable[[], None]] = {}
        self.client.on_room(lambda room: self.seen.append(list(room)))
        self.acts: dict[str, list[Case]] = case.get("acts", {})
        for event, outcome in case.get("handlers", {}).items():
            self.client.on(event, self.handler(event, outcome))

    def handler(self, event: str, outcome: Case) -> Callable[[Any], Any]:
        def handle(data: Any) -> Any:
            self.seen.append([event, data])
            if "refuses" in outcome:
                raise EventError(*outcome["refuses"])
            if "fails" in outcome:
                raise RuntimeError("as the case says")
            return outcome["returns"]

        return handle

    async def begin(self) -> None:
        await self.connect(True)
        await self.opens(True)
        await self.receive('{"event":"$ready"}')
        await self.connected(True)
        self.fake.told.clear()

    async def end(self, *, strict: bool) -> None:
        await self.client.close()
        await asyncio.gather(*self.connects, return_exceptions=True)
        if strict:
            assert (self.seen, self.notices, self.calls) == ([], 0, [])
            assert not any(each.sent for each in self.fake.connections)

    # The connection

    async def connect(self, _: bool) -> None:
        self.connects.append(asyncio.create_task(self.client.connect()))
        await settle()

    async def connected(self, outcome: bool) -> None:
        connect = self.connects.pop(0)
        if outcome:
            await connect
        else:
            with pytest.raises(NotConnected):
                await connect

    async def waiting(self, _: bool) -> None:
        assert not self.connects[0].done()

    async def barred(self, code: int) -> None:
        with pytest.raises(Refused) as caught:
            await self.connects.pop(0)
        assert (caught.value.code, caught.value.close) == (code, Close(code))

    async def unsent(self, step: list[Any]) -> None:
        event, code = step
        with pytest.raises(NotConnected) as sent:
            self.client.send(event)
        with pytest.raises(NotConnected) as called:
            await self.client.call(event)
        for error in (sent.value, called.value):
            assert error.close is None if code is None else error.close and error.close.code == code

    async def close(self, _: bool) -> None:
        await self.client.close()
        await settle()

    async def reconnect(self, reset: bool) -> None:
        self.client.reconnect(reset=reset)
        await settle()

    async def reconnecting(self, expected: bool) -> None:
        assert self.client.reconnecting is expected

    async def opens(self, _: bool) -> None:
        self.fake.last.open()
        await settle()

    async def fails(self, _: bool) -> None:
        self.fake.last.fail()
        await settle()

    async def closes(self, code: int) -> None:
        self.fake.last.end(Close(code))
        await settle()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await settle()

    async def told(self, expected: list[Any]) -> None:
        assert self.fake.told == expected
        self.fake.told.clear()

    async def phases(self, expected: list[str]) -> None:
        assert self.passed == expected
        self.passed.clear()

    # Messages

    async def send(self, message: list[Any]) -> None:
        self.client.send(*message)

    async def misuse(self, step: list[Any]) -> None:
        event, code = step
        with pytest.raises(CrosswireError) as sent:
            self.client.send(event)
        with pytest.raises(CrosswireError) as called:
            await self.client.call(event)
        assert (sent.value.code, called.value.code) == (code, code)

    async def call(self, message: list[Any]) -> None:
        self.calls.append(asyncio.create_task(self.client.call(*message, on_pending=self.notice)))
        await settle()

    def notice(self) -> None:
        self.notices += 1

    async def pending(self, count: int) -> None:
        assert self.notices == count
        self.notices = 0

    async def answered(self, value: Any) -> None:
        assert await self.calls.pop(0) == value

    async def refused(self, error: list[str]) -> None:
        with pytest.raises(EventError) as caught:
            await self.calls.pop(0)
        assert [caught.value.code, caught.value.message] == error

    async def failed(self, code: str) -> None:
        with pytest.raises(CrosswireError) as caught:
            await self.calls.pop(0)
        assert caught.value.code == code

    async def sent(self, text: str) -> None:
        assert self.fake.last.sent.pop(0) == text

    async def receive(self, text: str) -> None:
        assert self.fake.last.sent == []
        self.fake.last.receive(text)
        await settle()

    async def handled(self, message: list[Any]) -> None:
        assert self.seen.pop(0) == message

    async def room(self, state: list[Any]) -> None:
        assert self.seen.pop(0) == state

    async def offered(self, expected: str | int | None) -> None:
        positions = self.fake.targets[-1].url.partition("&_cw_at=")[2] or None
        if isinstance(expected, int):
            assert positions is not None
            assert (len(positions.split(",")), len(positions) <= 4096) == (expected, True)
        else:
            assert positions == expected

    async def fills(self, count: int) -> None:
        for number in range(count):
            room = {"room": ["chat", str(number)], "at": f"{number:08d}.100000", "recovered": None, "reason": None}
            await self.receive(json.dumps({"event": "$room", "payload": room}))
        assert self.seen == [["chat", str(number), None, None] for number in range(count)]
        self.seen.clear()

    async def beat(self, _: bool) -> None:
        self.client.ping_interval = 1
        await asyncio.sleep(1)
        self.client.ping_interval = None

    async def pong(self, _: bool) -> None:
        assert self.fake.told == [["ping"], ["pong"]]
        self.fake.told.clear()

    # Handlers by name

    def function(self, name: str) -> Callable[[], None]:
        def handle() -> None:
            self.seen.append(name)
            for step in self.acts.get(name, []):
                ((verb, value),) = step.items()
                getattr(self, f"_{verb}")(*value)

        return self.named.setdefault(name, handle)

    def _on(self, event: str, name: str, options: Case | None = None) -> None:
        self.client.on(event, self.function(name), **(options or {}))

    def _once(self, event: str, name: str) -> None:
        self.client.once(event, self.function(name))

    def _off(self, event: str, what: Case | None = None) -> None:
        which = what or {}
        self.client.off(event, self.function(which["handler"]) if "handler" in which else which.get("tag"))

    async def on(self, step: list[Any]) -> None:
        self._on(*step)

    async def once(self, step: list[Any]) -> None:
        self._once(*step)

    async def off(self, step: list[Any]) -> None:
        self._off(*step)

    async def fires(self, step: list[Any]) -> None:
        event, names = step
        await self.receive(json.dumps({"event": event, "payload": None}))
        assert self.seen == names
        self.seen.clear()
