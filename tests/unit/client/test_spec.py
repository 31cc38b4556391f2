"""Replays the golden cases in ``spec/``, as the tests of ``clients/js`` do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from crosswire.client.calls import Calls
from crosswire.client.heartbeat import Heartbeat
from crosswire.client.hooks import Hooks
from crosswire.client.retries import Retries, reconnects_unless_final
from crosswire.client.router import Router
from crosswire.client.session import Session
from crosswire.client.url import join_params
from crosswire.core.backoff import Backoff
from crosswire.core.calls import CallIds
from crosswire.core.listeners import EventListeners
from crosswire.errors import ConfigError, EventError
from crosswire.runtime.tasks import Tasks
from crosswire.transport.connector import ClientConnection
from crosswire.types import Close
from tests.support.aio import run, wait_until

SPEC = Path(__file__).parents[3] / "spec"
Case = dict[str, Any]


def cases(name: str) -> list[Case]:
    found: list[Case] = json.loads((SPEC / f"{name}.json").read_text(encoding="utf-8"))
    return found


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


@pytest.mark.parametrize("case", cases("conversations"), ids=lambda case: case["name"])
def test_conversations(case: Case) -> None:
    async def main() -> None:
        conversation = Conversation(case)
        for step in case["steps"]:
            ((verb, value),) = step.items()
            await getattr(conversation, verb)(value)
        conversation.end()

    run(main())


class Conversation:
    """One connection of a client, without a network. The steps of a case are its methods."""

    subprotocol = None

    def __init__(self, case: Case) -> None:
        tasks, listeners = Tasks(), EventListeners(most=1)
        hooks = Hooks(tasks)
        hooks.on_error(lambda _: None)  # what the handlers of a case raise
        hooks.on_pong(lambda _: self.pongs.append(True))
        for event, acts in case.get("handlers", {}).items():
            listeners.on(event, self.handler(event, acts))
        self.heartbeat = Heartbeat(None, 5, hooks)
        router, calls = Router(listeners, hooks, tasks), Calls(CallIds(), hooks)
        self.session = Session(self, router, calls, self.heartbeat, case.get("pingText", ""), hooks)
        self.out: list[str] = []
        self.seen: list[list[Any]] = []
        self.pongs: list[bool] = []
        self.calls: list[asyncio.Task[Any]] = []
        self.session.opened(cast(ClientConnection, self))

    def handler(self, event: str, acts: Case) -> Callable[[Any], Any]:
        def handle(data: Any) -> Any:
            self.seen.append([event, data])
            if "refuses" in acts:
                raise EventError(*acts["refuses"])
            if "fails" in acts:
                raise RuntimeError("as the case says")
            return acts["returns"]

        return handle

    def end(self) -> None:
        assert (self.out, self.seen, self.pongs, self.calls) == ([], [], [], [])
        self.session.closed(Close(1000))

    # The session's owner and connection

    def session_opened(self, session: Session) -> bool:
        return True

    def session_closed(self, session: Session, close: Close) -> None:
        pass

    def send_text(self, data: bytes) -> None:
        self.out.append(data.decode())

    # Steps

    async def send(self, message: list[Any]) -> None:
        self.session.send(*message)

    async def call(self, message: list[Any]) -> None:
        call = self.session.call(*message, timeout=5, on_pending=None, pending_after=1)
        self.calls.append(asyncio.create_task(call))
        await wait_until(lambda: self.out)

    async def beat(self, _: bool) -> None:
        self.heartbeat.interval = 0.001
        await wait_until(lambda: self.out)
        self.heartbeat.interval = None

    async def sent(self, text: str) -> None:
        assert self.out.pop(0) == text

    async def receive(self, text: str) -> None:
        assert self.out == []
        self.session.text(text)

    async def handled(self, message: list[Any]) -> None:
        assert self.seen.pop(0) == message

    async def answered(self, value: Any) -> None:
        assert await self.calls.pop(0) == value

    async def refused(self, error: list[str]) -> None:
        with pytest.raises(EventError) as caught:
            await self.calls.pop(0)
        assert [caught.value.code, caught.value.message] == error

    async def pong(self, _: bool) -> None:
        assert self.pongs.pop() is True
