"""Frames of a client behind its upgrade: fragments, compressed messages, MessagePack, control frames, rubbish.

The first byte of an input says what was negotiated: bit 0 permessage-deflate, bit 1 MessagePack, bit 2 a client that is
never let in, bit 3 frames that arrive in small pieces, bit 4 a client of ours, which understands ``$ready``.
"""

from __future__ import annotations

from crosswire.testing.socket_peer import upgrade_request
from tests.fuzz.connections import FuzzedServer
from tests.fuzz.server_output import check_frames, statuses
from tests.fuzz.target import Finding

DEFLATE, MSGPACK, PENDING, PIECES, OURS = 1, 2, 4, 8, 16
_PIECE = 5
"""Bytes of the pieces in which frames arrive, until there are a hundred of them."""


class FramesTarget:
    """Target of the WebSockets of a server."""

    def start(self) -> None:
        """Start a server."""
        self._fuzzed = FuzzedServer(compression=True)

    def run(self, data: bytes) -> None:
        """Upgrade, send the frames, and check the answer."""
        how, frames = data[:1] or b"\0", data[1:]
        parts = [self._request(how[0])]
        if how[0] & PIECES:
            small = frames[: _PIECE * 100]
            parts += [small[start : start + _PIECE] for start in range(0, len(small), _PIECE)]
            parts.append(frames[_PIECE * 100 :])
        else:
            parts.append(frames)
        found, rest = statuses(self._fuzzed.exchange(parts))
        if found != [101]:
            raise Finding(f"the upgrade was answered with {found}")
        check_frames(rest)

    def stop(self) -> None:
        """Stop the server."""
        self._fuzzed.close()

    def _request(self, how: int) -> bytes:
        headers = []
        if how & DEFLATE:
            headers.append(("Sec-WebSocket-Extensions", "permessage-deflate"))
        if how & MSGPACK:
            headers.append(("Sec-WebSocket-Protocol", "crosswire.msgpack"))
        query = "id=1" + ("&pending=1" if how & PENDING else "") + ("&_cw=2" if how & OURS else "")
        return upgrade_request(f"/?{query}", headers)
