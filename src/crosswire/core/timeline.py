"""The timeline of a room that keeps history, as one node knows it: what it heard, in order, and what a client gets.

Three kinds of facts come in: records of the log as they are published, what was read from the log, and messages that
came without a position, as the log could not be reached. What goes out keeps one rule: a client that is told of a
recovery has everything that was said since its position.

A record of an unknown epoch does not decide by itself which epoch is in use: it may be a late one, from a log that
the room had before. It is held, and the log is read. A read that began after it came says which one is in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from crosswire.core.early_records import EarlyRecords
from crosswire.core.heard_numbers import HeardNumbers
from crosswire.core.kept_messages import Kept, KeptMessages
from crosswire.core.log_epochs import LogEpochs
from crosswire.core.positions import LogPosition
from crosswire.core.settled_positions import SettledPositions
from crosswire.core.timeline_changes import NO_CHANGE, Change

__all__ = ("NO_CHANGE", "Change", "Kept", "Recovery", "Timeline")

MAX_VAIN_READS = 3
"""Reads in a row that do not bring what is missing; the next one is asked for when another record comes."""


class Recovery(NamedTuple):
    """The answer to a client that joins, and perhaps offers its position.

    Attributes:
        recovered: as in :class:`~crosswire.types.RoomState`.
        reason: why it is False, else None.
        at: the position before ``messages``, which the client has from now on; each message moves it on. None while the
            timeline has no position.
        messages: which the client gets now, those too that exclude it.
    """

    recovered: bool | None
    reason: str | None
    at: LogPosition | None
    messages: Sequence[Kept]


class Timeline:
    """A room on one node: its last messages, what waits for a hole to be filled, and what a client gets.

    It begins without anything, and the first read of the log, after 0, need not be asked for. That has to begin after
    the node hears the room's records. Each further read that was not asked for is announced (:meth:`expect_load`). Of a
    read that fails the timeline learns nothing: it is to be repeated until there is a result.

    Args:
        size: number of messages that are kept.
        ttl: seconds for which they are kept.
    """

    __slots__ = (
        "_are_members_unplaced",
        "_clock_offset",
        "_doubtful_epochs",
        "_early",
        "_epochs",
        "_heard",
        "_is_behind",
        "_is_owing_loss",
        "_kept",
        "_owes_position",
        "_read_after",
        "_settled",
        "_vain_reads",
        "is_loaded",
    )

    def __init__(self, size: int, ttl: float) -> None:
        self.is_loaded = False
        self._kept = KeptMessages(size, ttl)
        self._early = EarlyRecords()
        self._heard = HeardNumbers()
        self._settled = SettledPositions()
        self._clock_offset = 0.0
        self._epochs = LogEpochs()
        self._read_after: int | None = 0  # what is being read; None if nothing is
        self._vain_reads = 0
        self._doubtful_epochs: set[str] = set()  # first heard of while the log was being read
        self._is_owing_loss = False  # whether the members are to be told of a loss before the next message
        self._owes_position = False  # whether somebody joined before anything was loaded
        self._are_members_unplaced = False  # whether they were told last that they have no position
        self._is_behind = False  # whether there may be messages in the log that are not known here

    @property
    def position(self) -> LogPosition | None:
        """The last message in order; None until something is loaded, and while the timeline is void."""
        return self._epochs.at(self._kept.last) if self.is_loaded else None

    def resize(self, size: int, ttl: float) -> None:
        """Keep another number of messages, for another time in seconds."""
        self._kept.resize(size, ttl)

    def lose_log(self) -> None:
        """Take note that the log can't be reached: nobody knows what is said meanwhile, so no client is recovered."""
        self._is_behind = True

    def confirm(self) -> None:
        """Take note that the log has no message that is not known here."""
        self._is_behind = False

    def begin_read(self) -> None:
        """Take note that a read of the log begins, whoever has asked for it."""
        self._epochs.begin_read()

    def expect_load(self, after: int) -> None:
        """Take note that a read of the log after an offset begins that was not asked for."""
        self._read_after = after

    def take(self, epoch: str, kept: Kept | None) -> Change:
        """Take a record that came live; None for the one that says that an epoch begins."""
        if epoch == self._epochs.current:
            if kept is None:
                return self._tell("epoch", ()) if self._epochs.hear_beginning(epoch) else NO_CHANGE
            if kept.offset <= self._kept.last:
                return NO_CHANGE  # a twin, or a message that was given up
            if kept.offset == self._kept.last + 1:
                if not self._early.epochs and not self._is_owing_loss and self._advance(kept):
                    return Change((kept,))
                return self._go_on(kept)
        elif self._epochs.is_over(epoch):
            return self._take_stray(kept)
        return self._hold(epoch, kept)

    def load(self, tail_position: LogPosition, settled: int, clock_offset: float, kept: Sequence[Kept]) -> Change:
        """Take what was read from the log.

        Args:
            tail_position: the last message of the log.
            settled: the smallest offset whose position is good for a recovery.
            clock_offset: seconds by which the log's clock is ahead of the node's.
            kept: all messages after the asked offset that the log still has.
        """
        after, self._read_after = self._read_after, None
        doubtful, self._doubtful_epochs = self._doubtful_epochs, set()
        epoch, last = tail_position
        if self._epochs.is_over(epoch):  # it was answered before the epoch in use began
            return self._ask_again(NO_CHANGE)
        if epoch != self._epochs.current and after != 0 and len(kept) != last:  # its beginning was not read
            self._early.hold(epoch, None)
            return self._ask_again(NO_CHANGE)
        self._is_behind = False
        self._clock_offset = clock_offset
        over = [
            each for each in self._early.epochs if each not in (epoch, self._epochs.current) and each not in doubtful
        ]
        is_good_now = self._epochs.end_read(epoch)
        if epoch == self._epochs.current:
            change = self._catch_up(last, kept, self._take_records(over))
            if is_good_now and change.lost is None:
                change = replace(change, lost="epoch", at=self._tell("epoch", change.ready).at)
        elif self.is_loaded:
            change = self._change_epoch(tail_position, kept, self._take_records([self._epochs.current, *over]))
        else:
            change = self._begin(tail_position, kept)
        self._settled.load(settled, last)
        return self._ask_again(change)

    def take_unplaced(self, origin: bytes, number: int) -> bool:
        """Take a copy of a message that came without a position; return whether the members have not heard it yet."""
        return self._heard.add_unplaced(origin, number)

    def void(self) -> None:
        """Take note that messages were delivered that the log does not have.

        No position is good for a recovery from now on, until an epoch is used that was heard to begin after this call.
        """
        self._epochs.void()

    def renew(self) -> Change:
        """Take note that an epoch has begun for all messages that were delivered and that the log does not have."""
        return Change(needs=self._ask(self._kept.last)) if self._epochs.renew() else NO_CHANGE

    def recover(self, offered: LogPosition | None, *, rewind: int, now: float, max_bytes: int) -> Recovery:
        """Return what a client gets now that offers its position.

        Args:
            offered: the client's position; None if it has none.
            rewind: messages that it gets if it is not recovered, though it may have heard them.
            now: time of the node's clock, in seconds.
            max_bytes: of the messages; beyond it, the client is not recovered.
        """
        time = (now + self._clock_offset) * 1000
        self._kept.drop_expired(time)
        if not self.is_loaded:
            self._owes_position = True
        reason = None if offered is None else self._reason_against(offered, time, max_bytes)
        if offered is not None and reason is None:
            return Recovery(True, None, offered, self._kept.after(offered.offset).messages)
        messages = self._kept.newest(rewind, max_bytes).messages
        at = self.position and LogPosition(self._epochs.current, self._kept.last - len(messages))
        return Recovery(None if offered is None else False, reason, at, messages)

    def _reason_against(self, offered: LogPosition, time: float, max_bytes: int) -> str | None:
        """Return why a client can't be recovered from its position; None if it can."""
        kept, offset = self._kept, offered.offset
        if self.position is None or self._is_behind:
            return "unavailable"
        if offered.epoch != self._epochs.current:
            return "epoch"
        if offset > kept.last:
            return "ahead"
        if not self._settled.is_good(offset, kept, time):
            return "epoch"
        if not kept.reaches(offset):
            return "expired" if kept.is_expired(offset) else "trimmed"
        return "too-much" if kept.after(offset).size > max_bytes else None

    # What follows takes records.

    def _go_on(self, kept: Kept) -> Change:
        """Take the next record, and those that were held for it, where that is more than handing it on."""
        records = self._early.take(self._epochs.current)
        if kept.offset > self._kept.last:
            records[kept.offset] = kept
        ready, lost = self._move_on(records, 0)
        change = self._tell(lost, ready) if lost else Change(tuple(ready))
        if not self._is_owing_loss:
            return change
        self._vain_reads = 0
        return replace(change, needs=self._ask(self._kept.last))

    def _advance(self, kept: Kept) -> bool:
        """Move on to the next message, and return whether it is new to the members.

        If some have heard it, their position is before it all the same: from there it would come a second time. Others
        may have come since then. So it is told as a loss, once for all such messages that come together: with the next
        message, or when the log was read. Members without a position are told anyway as soon as they get one.
        """
        self._kept.add(kept)
        if self._heard.place(kept.origin, kept.number):
            return True
        self._settled.begin_at(kept.offset)
        self._is_owing_loss = not (self._epochs.is_void and self._are_members_unplaced)
        return False

    def _hold(self, epoch: str, kept: Kept | None) -> Change:
        """Hold a record until the log was read."""
        is_new = epoch != self._epochs.current and epoch not in self._early.epochs
        if is_new and self._read_after is not None:
            self._doubtful_epochs.add(epoch)
        if kept is None:
            self._epochs.hear_beginning(epoch)
        self._early.hold(epoch, kept)
        if self._early.are_too_many:
            return self._give_up()
        if self._read_after is None:
            self._vain_reads = 0
        return Change(needs=self._ask(self._kept.last if epoch == self._epochs.current else 0))

    def _give_up(self) -> Change:
        """Wait for nothing more: the log can't be read, or not fast enough."""
        records = self._early.take(self._epochs.current)
        self._early.drop_all()  # what is held of other epochs is read, or told as lost, once they are used
        self._doubtful_epochs.clear()
        if not records:
            return NO_CHANGE
        self._kept.begin_after(min(records) - 1)
        ready, _ = self._move_on(records, 0)
        return self._tell("trimmed", ready)

    def _take_stray(self, kept: Kept | None) -> Change:
        """Take a record of an epoch that is over. Its message may be handed on, but the log in use does not have it."""
        if kept is None or not self._heard.add_unplaced(kept.origin, kept.number):
            return NO_CHANGE
        self.void()
        return Change((kept,), voids=True)

    def _move_on(self, records: dict[int, Kept], end: int) -> tuple[list[Kept], str | None]:
        """Move on as far as records follow each other; what is missing up to an offset is gone, the rest may come.

        Nothing follows a loss in the middle: it is told when the log was read again, and what is behind it comes then.

        Returns:
            The messages that are new to the members, and the reason why some before them may be missing.
        """
        kept = self._kept
        ready: list[Kept] = []
        lost: str | None = None
        for offset in sorted(records):
            is_gap = kept.last + 1 < offset
            if is_gap and kept.last < end and not ready:
                kept.begin_after(min(offset - 1, end))
                lost, is_gap = "trimmed", kept.last + 1 < offset
            if is_gap or (ready and self._is_owing_loss):
                self._early.hold(self._epochs.current, records[offset])
            elif kept.last < offset and self._advance(records[offset]):
                lost = lost or ("epoch" if self._is_owing_loss else None)
                self._is_owing_loss = False
                ready.append(records[offset])
        if kept.last < end and ready:
            self._is_owing_loss = True
        elif kept.last < end:
            kept.begin_after(end)
            lost = "trimmed"
        return ready, lost

    # What follows takes what was read.

    def _catch_up(self, last: int, kept: Sequence[Kept], strays: Sequence[Sequence[Kept]]) -> Change:
        """Fill holes of the epoch in use; all that the log does not have up to its last message is gone."""
        records = self._early.take(self._epochs.current) | {each.offset: each for each in kept}
        ready, lost = self._move_on(records, last)
        if self._is_owing_loss and not ready:
            lost = lost or "epoch"
        change = self._tell(lost, ready) if lost else Change(tuple(ready))
        new = [each for run in strays for each in run if self._heard.add_unplaced(each.origin, each.number)]
        if new:
            self.void()
            change = replace(change, ready=(*change.ready, *new), voids=True)
        return change

    def _change_epoch(self, tail: LogPosition, kept: Sequence[Kept], strays: Sequence[Sequence[Kept]]) -> Change:
        """Go over to another epoch. All its messages are new to the members, except those that they heard before."""
        again = {(each.origin, each.number) for each in kept}
        again |= {(each.origin, each.number) for each in self._early.epochs.get(tail.epoch, {}).values()}
        before = [
            [
                each
                for each in run
                if (each.origin, each.number) not in again and self._heard.add_unplaced(each.origin, each.number)
            ]
            for run in strays
        ]
        self._heard.begin_epoch()
        self._settled.begin_epoch()
        self._is_owing_loss = False
        records = self._early.take(tail.epoch) | {each.offset: each for each in kept}
        self._use(tail.epoch, min(tail.offset, *(offset - 1 for offset in records)) if records else tail.offset, kept)
        ready, _ = self._move_on(records, tail.offset)
        return replace(self._tell("epoch", ready), before=[run for run in before if run])

    def _begin(self, tail: LogPosition, kept: Sequence[Kept]) -> Change:
        """Begin with what is read first. Only messages that came live are new to those who are members already."""
        records = self._early.take(tail.epoch)
        first = min(records, default=tail.offset + 1)
        self.is_loaded = True
        old = [each for each in kept if each.offset < first]
        self._use(tail.epoch, min(tail.offset, first - 1, *(each.offset - 1 for each in old[:1])), kept)
        for each in old:
            if each.offset > self._kept.last + 1:
                self._kept.begin_after(each.offset - 1)
            self._advance(each)
        self._is_owing_loss = False
        ready, _ = self._move_on(records | {each.offset: each for each in kept}, tail.offset)
        return self._tell("unavailable", ready) if self._owes_position else Change(tuple(ready))

    def _use(self, epoch: str, start: int, kept: Sequence[Kept]) -> None:
        """Use another epoch, from an offset on; what was before it is too old if the log has fewer than it may have."""
        self._epochs.use(epoch)
        self._kept.begin_after(start, expired=len(kept) < self._kept.size)

    def _take_records(self, epochs: Iterable[str]) -> list[list[Kept]]:
        """Take what is held of epochs that are over, in runs without holes, and remember that they are."""
        runs: list[list[Kept]] = []
        for epoch in epochs:
            held = self._early.take(epoch)
            for offset in sorted(held):
                if offset - 1 not in held:
                    runs.append([])
                runs[-1].append(held[offset])
            self._epochs.end(epoch)
        return runs

    def _tell(self, reason: str, ready: Sequence[Kept]) -> Change:
        """Tell the members that they may have missed something before the messages that are ready."""
        self._owes_position = False
        if not ready:
            self._is_owing_loss = False
        before = (ready[0].offset - 1) if ready else self._kept.last
        self._are_members_unplaced = self._epochs.is_void
        return Change(tuple(ready), reason, at=self._epochs.at(before))

    def _ask(self, after: int) -> int | None:
        """Ask for a read, unless there is one."""
        if self._read_after is not None:
            return None
        self._read_after = after
        return after

    def _ask_again(self, change: Change) -> Change:
        """Ask for another read if this one did not bring all that is missing, but not forever."""
        missing = self._early.epochs
        if not (missing or self._is_owing_loss or self._epochs.is_renewed):
            self._vain_reads = 0
            return change
        self._vain_reads = 0 if change.ready or change.lost else self._vain_reads + 1
        if self._vain_reads > MAX_VAIN_READS:
            return change
        is_sure = all(epoch == self._epochs.current for epoch in missing)
        return replace(change, needs=self._ask(self._kept.last if is_sure else 0))
