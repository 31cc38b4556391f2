"""Requests of an emitter to nodes, and waiting for the answers."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from crosswire.cluster.dispatcher import SERVICE_TIMEOUT
from crosswire.cluster.known_servers import SERVERS_REQUEST
from crosswire.core import envelopes
from crosswire.core.codecs import NODE_MSGPACK
from crosswire.core.envelopes import SERVICE
from crosswire.core.options import MAX_SECONDS
from crosswire.core.payload_types import ANY, PayloadType, RawPayload, decode_answer, payload_type
from crosswire.core.replies import GatheredReplies
from crosswire.emitter.connection import EmitterConnection
from crosswire.emitter.dialects import EmitterDialect, NodeReply
from crosswire.errors import BusUnavailable, CallTimeout, InvalidPayload, NodeGone
from crosswire.types import Replies

CHECK_INTERVAL = 0.5
"""Seconds between two checks whether the nodes that have not answered still listen."""
SERVERS_TIMEOUT = 0.5
"""Seconds in which all nodes are expected to tell which servers they know; the answer of one is enough after that."""

_NAMES = payload_type(list[str])


def call(
    connection: EmitterConnection, name: str, event: str, payload: RawPayload, timeout: float, kind: PayloadType
) -> Any:
    """Send a request to one node and return its answer."""
    dialect, deadline = connection.dialect, time.monotonic() + min(timeout, MAX_SECONDS)
    with connection.question(dialect) as question:
        listens = connection.ask_node(question, name, event, payload)
        if dialect.knows_members and not listens:
            raise NodeGone(name)
        while (left := deadline - time.monotonic()) > 0:
            for reply in question.wait(min(left, CHECK_INTERVAL)):
                if reply.sender == name:
                    return _answer(dialect, reply, kind)
            if dialect.knows_members and connection.gone([name]):
                raise NodeGone(name)
    raise CallTimeout(f"node {name!r} did not answer {event!r} within {timeout} s")


def gather_service(connection: EmitterConnection, service: str, request: Any) -> Replies:
    """Send a request to a service of all servers and return their answers."""
    payload, deadline = envelopes.pack(request), time.monotonic() + SERVICE_TIMEOUT
    servers = _servers(connection)
    replies, waiting = GatheredReplies(dict.fromkeys(servers, 1)), set(servers)
    with connection.question(connection.native) as question:
        for name, listens in connection.ask_nodes(question, servers, SERVICE + service, payload).items():
            if not listens:
                replies.lost(name)
                waiting.discard(name)
        while not replies.complete and (left := deadline - time.monotonic()) > 0:
            for reply in question.wait(min(left, CHECK_INTERVAL)):
                _take(replies, reply)
                waiting.discard(reply.sender)
            for name in connection.gone(sorted(waiting)) if waiting else ():
                replies.lost(name)
                waiting.discard(name)
    return replies.result()


def _servers(connection: EmitterConnection) -> list[str]:
    """Ask all nodes for the names of the servers.

    Each node tells which it knows: so a server that hangs is named too, and a node that has just started does no harm.

    Raises:
        BusUnavailable: there are nodes, and none of them answers.
    """
    found, heard, began = set[str](), set[str](), time.monotonic()
    with connection.question(connection.native) as question:
        expected = connection.ask_all(question, SERVERS_REQUEST)
        while len(heard) < expected:
            left = began + (SERVERS_TIMEOUT if heard else SERVICE_TIMEOUT) - time.monotonic()
            if left <= 0:
                break
            for reply in question.wait(left):
                heard.add(reply.sender)
                if reply.error is None:
                    with suppress(InvalidPayload):  # of a node of another version; the others name the servers too
                        found.update(NODE_MSGPACK.payload(_NAMES, reply.payload))
    if expected and not heard:
        raise BusUnavailable(f"none of {expected} nodes answers")
    return sorted(found)


def _take(replies: GatheredReplies, reply: NodeReply) -> None:
    if reply.error is None:
        replies.answered(reply.sender, NODE_MSGPACK.payload(ANY, reply.payload))
    else:
        replies.refused(reply.sender, reply.error)


def _answer(dialect: EmitterDialect, reply: NodeReply, kind: PayloadType) -> Any:
    if reply.error is not None:
        raise reply.error
    try:
        return decode_answer(dialect.codec.payload, kind, reply.payload)
    except InvalidPayload as invalid:
        raise InvalidPayload(invalid.message, sender=reply.sender) from invalid
