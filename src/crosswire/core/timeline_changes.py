"""The changes of a room's timeline, as the node carries them out that has it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from crosswire.core.kept_messages import Kept
from crosswire.core.positions import LogPosition


class Change(msgspec.Struct, frozen=True):
    """The things to do after a timeline took something.

    Attributes:
        ready: messages to be handed on to the members, in order.
        lost: the reason for which the members are told first that they may have missed something; None if not.
        needs: the offset after which the log must be read, and the result be given to ``Timeline.load``; None if there
            is nothing to read, or a read was asked for already.
        at: the position that the members have from ``lost`` on; None if the timeline has none.
        voids: whether messages are handed on that the log in use does not have. The timeline is void from now on; the
            other nodes are to be told, as after ``Timeline.void``.
        before: messages of epochs that are over, to be handed on before ``lost`` is told. Something may be missing in
            front of each run of them: that is told first, with no position.
    """

    ready: Sequence[Kept] = ()
    lost: str | None = None
    needs: int | None = None
    at: LogPosition | None = None
    voids: bool = False
    before: Sequence[Sequence[Kept]] = ()


NO_CHANGE = Change()
"""The change if there is nothing to be done."""
