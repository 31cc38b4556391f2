"""Makes connections to one Redis, and logs in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import hiredis

from crosswire.cluster.redis.address import Address
from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.link import Denied, Link, Silent, Unreachable, text_of
from crosswire.errors import ConfigError
from crosswire.runtime.dialing import dial

Revive = Callable[[], Awaitable[object]]

_NOT_IN_A_NAME = re.compile(r"[^!-~]")  # CLIENT SETNAME takes nothing else
_FOR_NOW = ("LOADING", "BUSY", "MASTERDOWN", "ERR max number of clients")
"""How refusals begin that will be over some time."""


class Dialer:
    """Connects to one Redis.

    Args:
        address: of the Redis.
        node: name of the node, for whoever looks at ``CLIENT LIST``.
        timeout: seconds to connect and to log in.
        revive: called before every connection: starts the Redis if it does not run, where that is ours to do.

    Raises:
        ConfigError: the files that its TLS needs can't be read.
    """

    def __init__(self, address: Address, node: str, timeout: float, revive: Revive | None = None) -> None:
        self.address = address
        self._tls = None if address.tls is None else address.tls.context()
        self._name = _NOT_IN_A_NAME.sub("_", f"crosswire:{node}").encode()
        self._timeout = timeout
        self._revive = revive

    async def open(self, role: str) -> Link:
        """Connect and log in.

        Args:
            role: ``pub`` or ``sub``; a part of the connection's name.

        Raises:
            Denied: the Redis refuses us.
            Unreachable: it can't be used now.
        """
        link = Link()
        try:
            if self._revive is not None:
                await self._revive()
            async with asyncio.timeout(self._timeout):
                await self._connect(link)
                await self._log_in(link, role)
        except BaseException as error:
            link.close("it was not opened")
            if isinstance(error, TimeoutError):
                raise Silent(f"it does not answer within {self._timeout:g} s") from error
            if isinstance(error, OSError | ConfigError) and not isinstance(error, Unreachable):
                raise Unreachable(text_of(error)) from error
            raise
        return link

    async def _connect(self, link: Link) -> None:
        loop, address = asyncio.get_running_loop(), self.address
        if address.path:
            await loop.create_unix_connection(lambda: link, address.path)
        else:
            await dial(lambda: link, address.host, address.port, self._tls)

    async def _log_in(self, link: Link, role: str) -> None:
        commands = self._first_commands(role)
        login = _Login(len(commands))
        link.listen(login.take, login.lost)
        link.send(b"".join([command(*parts) for parts in commands]))
        reason = await login.ended
        # What refuses a connection as a whole, such as too many of them, is said in place of the first answer.
        for (name, *_), reply in zip(commands, login.replies, strict=False):
            if isinstance(reply, hiredis.ReplyError):
                _judge(name, str(reply))
        if reason is not None:
            raise Unreachable(reason)

    def _first_commands(self, role: str) -> list[tuple[bytes, ...]]:
        address, commands = self.address, list[tuple[bytes, ...]]()
        if address.password is not None:
            user = () if address.user is None else (address.user.encode(),)
            commands.append((b"AUTH", *user, address.password.encode()))
        if address.db:
            commands.append((b"SELECT", b"%d" % address.db))
        commands.append((b"CLIENT", b"SETNAME", self._name + b":" + role.encode()))
        return commands


class _Login:
    """Waits for the answers to the first commands.

    Attributes:
        replies: that came so far.
        ended: resolved when all are there, or, with the reason, when the connection is gone.
    """

    def __init__(self, expected: int) -> None:
        self.replies: list[Any] = []
        self.ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._expected = expected

    def take(self, reply: Any) -> None:
        self.replies.append(reply)
        if len(self.replies) == self._expected and not self.ended.done():
            self.ended.set_result(None)

    def lost(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


def _judge(name: bytes, refusal: str) -> None:
    """Raise what a refusal means.

    Raises:
        Denied: it will not change its mind.
        Unreachable: it may.
    """
    if refusal.startswith(_FOR_NOW):
        raise Unreachable(refusal)
    if name == b"CLIENT" and not refusal.startswith(("NOAUTH", "DENIED")):
        return  # then the connection has no name, and works
    raise Denied(f"{name.decode()} was refused: {refusal}")
