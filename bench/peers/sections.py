"""Sections of the page of a comparison: which works are shown together, and what a reader should know of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """Works that are shown together.

    Attributes:
        name: name of the plot's file.
        title: heading.
        text: what a reader should know before the figures.
        works: ids of the works.
    """

    name: str
    title: str
    text: str
    works: tuple[str, ...]


SECTIONS = [
    Section(
        "fanout",
        "Fan-out",
        "One client says a line of chat, and the server sends it to all. With several messages in flight a server "
        "can put more of them into one write. Only servers that accept 10,000 clients in a few seconds are "
        "measured with so many.",
        ("fanout-1000", "fanout-100", "fanout-10", "fanout-10000"),
    ),
    Section(
        "rooms",
        "Many small rooms",
        "In each room one of its ten clients says a line, and all ten receive it. So there is a message to decode "
        "and to encode for every ten deliveries. Only servers that accept 10,000 clients in a few seconds are "
        "measured.",
        ("rooms-64", "rooms-all"),
    ),
    Section(
        "calls",
        "Calls",
        "A client asks, and the server answers; each call leaves in a write of its own, as from clients that have "
        "nothing to do with each other.",
        ("calls-8", "calls-1"),
    ),
    Section(
        "connections",
        "Connections",
        "What it takes to connect, upgrade and be let in, with up to 256 clients on their way at a time; and what "
        "a connection that is open, in a room and idle holds in the memory of the server.",
        ("connects", "idle"),
    ),
    Section(
        "nodes",
        "Two nodes and Redis",
        "The nodes and Redis share the core. Users that talk to each other are connected to different nodes, and "
        "the other node answers what a client asks its own. Two Redis are two independent ones, each of which "
        "carries a part of the messages.",
        ("nodes-fanout", "nodes-tell", "nodes-ask", "redis-2-fanout", "redis-2-tell"),
    ),
    Section(
        "more-nodes",
        "Four nodes and eight",
        "Each node has as many clients as each of two nodes has above, so a message has more recipients, or there "
        "are more pairs of users. All nodes still share one core, which is too little for eight of some servers: these "
        "are left out.",
        ("nodes-4-fanout", "nodes-8-fanout", "nodes-4-tell", "nodes-8-tell"),
    ),
    Section(
        "sizes",
        "Payloads, and compressing them",
        'The payload is `{"text":"..."}` of so many bytes, the text being words. Where it is compressed with '
        "permessage-deflate the load generator inflates it, and fails if a message comes uncompressed.",
        ("fanout-64b", "fanout-4k", "deflate-4k"),
    ),
    Section(
        "tls",
        "TLS",
        "Version 1.3, `TLS_AES_128_GCM_SHA256` and a certificate with a key on P-256 for all; no session is resumed.",
        ("tls-fanout", "tls-calls", "tls-connects"),
    ),
    Section(
        "options",
        "What options of Crosswire cost",
        "The same server without and with metrics; nodes without and with a secret, which signs what goes over Redis; "
        "rooms that keep no history and rooms that do; and Crosswire as an ASGI application, beside its own listener.",
        ("metrics-fanout", "secret-tell", "history-fanout", "history-line", "history-recovery", "asgi-fanout"),
    ),
]
"""Sections in the order of the page; each work is in one of them."""
