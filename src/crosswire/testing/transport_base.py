"""The base of the test classes of the contract suite for transports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from crosswire.core.limits import Limits
from crosswire.runtime import loops
from crosswire.testing.connection_ends import LIMITS, ConnectionEnds
from crosswire.testing.recording import Harness, RecordingAcceptor, RecordingReceiver, eventually
from crosswire.transport.interface import Acceptor, Response
from crosswire.types import Close, CloseCode


class TransportContractBase(ABC):
    """Base class that opens connections over the transport under test and runs scripts with them."""

    @abstractmethod
    def harness(self, acceptor: Acceptor, limits: Limits) -> AbstractAsyncContextManager[Harness]:
        """Listen for ``acceptor`` while the context is entered; every test enters it on an event loop of its own."""

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test to its end; override it to use another event loop, or to check more."""
        loops.run(test)

    def run_with_connection(
        self, script: Any, *, limits: Limits = LIMITS, receiver: RecordingReceiver | None = None, **grants: Any
    ) -> None:
        """Open a connection, run ``script(ends)``, and check that the receiver is told of the end once, and last."""

        async def main() -> None:
            acceptor = RecordingAcceptor(receiver or RecordingReceiver(), **grants)
            async with self.harness(acceptor, limits) as harness:
                peer = await harness.connect("/", acceptor.wants)
                assert not isinstance(peer, Response), peer
                try:
                    await script(ConnectionEnds(peer, acceptor.receiver, harness))
                finally:
                    peer.abort()
                    acceptor.receiver.connection.abort(Close(CloseCode.ABNORMAL))
                await eventually(lambda: acceptor.receiver.closes, "the receiver is told that its peer is gone")
            assert acceptor.receiver.log[0] == "opened"
            assert acceptor.receiver.log[-1] == acceptor.receiver.closes[0]
            assert len(acceptor.receiver.closes) == 1

        self.run(main())
