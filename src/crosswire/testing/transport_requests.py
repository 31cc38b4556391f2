"""The contract of every transport: the HTTP request that a connection begins with."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

from crosswire.core.headers import Headers
from crosswire.testing.connection_ends import LIMITS, ConnectionEnds
from crosswire.testing.recording import RecordingAcceptor, RecordingReceiver, eventually
from crosswire.testing.transport_base import TransportContractBase
from crosswire.transport.interface import HttpRequest, Response


class RequestContract(TransportContractBase):
    """Tests of accepted and refused requests."""

    def test_the_acceptor_gets_target_headers_and_remote(self) -> None:
        async def main() -> None:
            acceptor = RecordingAcceptor(RecordingReceiver())
            async with self.harness(acceptor, LIMITS) as harness:
                peer = await harness.connect("/a%20b?id=1&x=%C3%BC", {"X-One": "a b"})
                assert not isinstance(peer, Response)
                request: HttpRequest = acceptor.requests[0]
                assert request.target == "/a%20b?id=1&x=%C3%BC"
                assert request.headers["x-one"] == "a b"
                assert request.wants_websocket
                assert request.remote == harness.remote
                peer.abort()
                await eventually(lambda: acceptor.receiver.closes, "the end")

        self.run(main())

    def test_a_refused_request_gets_the_response(self) -> None:
        async def main() -> None:
            acceptor = RecordingAcceptor(RecordingReceiver(), Response(403, b"not you", {"X-Why": "because"}))
            async with self.harness(acceptor, LIMITS) as harness:
                answer = await harness.connect("/", {})
                assert isinstance(answer, Response)
                assert (answer.status, answer.body) == (403, b"not you")
                assert Headers(answer.headers.items())["X-Why"] == "because"
            assert acceptor.receiver.log == []

        self.run(main())

    def test_the_accepted_subprotocol_reaches_the_peer(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            assert ends.peer.subprotocol == "b.two"

        self.run_with_connection(script, subprotocol="b.two", wants={"Sec-WebSocket-Protocol": "a.one, b.two"})

    def test_without_a_subprotocol_there_is_none(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            assert ends.peer.subprotocol is None

        self.run_with_connection(script)

    def test_header_fields_of_the_acceptance_reach_the_peer(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            assert ends.peer.headers["x-one"] == "a b"

        self.run_with_connection(script, headers={"X-One": "a b"})
