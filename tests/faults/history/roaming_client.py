"""A client that loses its network and comes back, and writes down everything it is told."""

from __future__ import annotations

from typing import Any

import msgspec

from crosswire import Client
from crosswire.errors import CallTimeout, CrosswireError, EventError
from crosswire.testing.proxy import TcpProxy
from crosswire.types import Close, RoomState
from tests.faults.history.diary import Diary
from tests.faults.history.workload import RoomWorkload, user


class _Frame(msgspec.Struct):
    event: str | None = None
    payload: Any = None
    at: str | None = None


_decode = msgspec.json.Decoder(_Frame).decode


class RoamingClient:
    """A ``crosswire.Client`` with its rooms.

    Args:
        number: of the client.
        workload: says which rooms it joins on each connection.
        proxy: that it connects to.
        diary: where it writes.

    Attributes:
        client: the client.
        rooms: that it joins.
        latest: the largest number that it got of each stream.
        is_away: whether it has no network.
        is_open: whether it has a connection.
        has_joined: whether it is in all its rooms.
        drops: how often it was made to drop its connection.
        ended: how often a connection ended.
    """

    def __init__(self, number: int, workload: RoomWorkload, proxy: TcpProxy, diary: Diary) -> None:
        self.rooms = workload.rooms_of(number)
        self.latest: dict[int, int] = {}
        self.is_away = self.is_open = self.has_joined = False
        self.drops = self.ended = 0
        self._number = number
        self._workload = workload
        self._proxy = proxy
        self._diary = diary
        self._frame = _Frame()
        url = f"ws://127.0.0.1:{proxy.port}/"
        self.client = Client(url, params=self._params, fast_interval=0.2, max_interval=0.5)
        self._add_handlers()

    async def drop(self, *, politely: bool) -> None:
        """Lose the network: the connection is closed if that is done politely, else cut; none can be made."""
        self.is_away = True
        self.drops += 1
        if politely:
            await self.client.close()
            return
        mark = f"id={user(self._number)}".encode()
        for link in self._proxy.links:
            if mark in link.first_bytes:
                self._proxy.cut(link)

    def come_back(self) -> None:
        """Have a network again, and connect if there is no connection."""
        self.is_away = False
        if not self.is_open:
            self.client.reconnect(reset=True)

    def _params(self) -> dict[str, str]:
        if self.is_away:
            raise ConnectionError("there is no network")
        return {"id": user(self._number)}

    def _add_handlers(self) -> None:
        client = self.client

        @client.on_message
        def note(raw: str | bytes) -> None:
            self._frame = _decode(raw)  # handlers of its event are called next

        @client.on("n")
        def hear(data: list[int]) -> None:
            self._hear(data)

        @client.on_room
        def be_told(room: RoomState) -> None:
            self._be_told(room)

        @client.on_open
        async def join() -> None:
            self.is_open = True
            await self._join()

        @client.on_close
        def end(_close: Close) -> None:
            self.is_open = self.has_joined = False
            self.ended += 1
            self._diary.ended(self._number)

        @client.on_error
        def fail(error: BaseException) -> None:
            if not isinstance(error, CrosswireError):
                raise error

    def _hear(self, data: list[int]) -> None:
        stream, number = data
        assert self._frame.payload == data, "a handler was not called with the message that had come"
        self.latest[stream] = max(self.latest.get(stream, -1), number)
        self._diary.heard(self._number, self._workload.room(stream), stream, number, self._frame.at)

    def _be_told(self, room: RoomState) -> None:
        told = self._frame.payload
        assert told["room"] == [room.namespace, room.id], "a handler was not called with the answer that had come"
        self._diary.told(self._number, int(room.id), room.recovered, room.reason, told["at"])

    async def _join(self) -> None:
        for room in self.rooms:
            while True:
                try:
                    await self.client.call("join", str(room))
                    break
                except (CallTimeout, EventError):
                    continue  # it is still there: an application tries again
                except CrosswireError:
                    return  # the connection is gone; it joins on the next one
        self.has_joined = True
