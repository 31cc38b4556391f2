"""The targets by name, and the inputs of their corpora."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.fuzz.envelopes import EnvelopesTarget
from tests.fuzz.frames import FramesTarget
from tests.fuzz.hostile_server import HostileServerTarget
from tests.fuzz.http_head import HttpHeadTarget
from tests.fuzz.listener import ListenerTarget
from tests.fuzz.original import OriginalTarget
from tests.fuzz.redis_replies import RedisRepliesTarget
from tests.fuzz.target import Target

FOLDER = Path(__file__).with_name("corpus")

TARGETS: Mapping[str, Callable[[], Target]] = {
    "http_head": HttpHeadTarget,
    "listener": ListenerTarget,
    "frames": FramesTarget,
    "envelopes": EnvelopesTarget,
    "original": OriginalTarget,
    "redis_replies": RedisRepliesTarget,
    "hostile_server": HostileServerTarget,
}


def inputs(target: str) -> Iterator[tuple[str, bytes]]:
    """Yield the inputs of a target's corpus, by the names of their files; and the empty one."""
    yield "nothing", b""
    for file in sorted((FOLDER / target).iterdir()):
        yield file.name, file.read_bytes()
