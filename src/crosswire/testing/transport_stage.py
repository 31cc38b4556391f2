"""What the tests of the contract suite for transports are played on: a listener, and a connection to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from crosswire.core.limits import Limits
from crosswire.runtime import loops
from crosswire.testing.recorder import Gatekeeper, Harness, Recorder, eventually
from crosswire.testing.scene import LIMITS, Scene
from crosswire.transport.interface import Acceptor, Response
from crosswire.types import Close, CloseCode


class TransportStage(ABC):
    """Opens connections over the transport that is tested, and runs scripts with them."""

    @abstractmethod
    def harness(self, acceptor: Acceptor, limits: Limits) -> AbstractAsyncContextManager[Harness]:
        """Listen for ``acceptor`` while the context is entered; every test enters it on an event loop of its own."""

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test to its end; override it to use another event loop, or to check more."""
        loops.run(test)

    def play(self, script: Any, *, limits: Limits = LIMITS, receiver: Recorder | None = None, **grants: Any) -> None:
        """Run ``script(scene)`` with a connection that was just opened."""

        async def main() -> None:
            gatekeeper = Gatekeeper(receiver or Recorder(), **grants)
            async with self.harness(gatekeeper, limits) as harness:
                peer = await harness.connect("/", gatekeeper.wants)
                assert not isinstance(peer, Response), peer
                try:
                    await script(Scene(peer, gatekeeper.receiver, harness))
                finally:
                    peer.abort()
                    gatekeeper.receiver.connection.abort(Close(CloseCode.ABNORMAL))
                await eventually(lambda: gatekeeper.receiver.closes, "the receiver is told that its peer is gone")
            assert gatekeeper.receiver.log[0] == "opened"
            assert gatekeeper.receiver.log[-1] == gatekeeper.receiver.closes[0]
            assert len(gatekeeper.receiver.closes) == 1

        self.run(main())
