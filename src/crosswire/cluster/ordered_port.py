"""A node's connection to its bus, with what every bus needs: numbers, order, reports of gaps, and a buffer."""

from __future__ import annotations

from collections.abc import Callable, Collection

from crosswire.cluster.gaps import GapReports
from crosswire.cluster.interface import Bus, BusEvents, FlushedPort, Receive
from crosswire.cluster.joined_messages import JoinedMessages
from crosswire.cluster.ordered_receiver import IsReadable, ReceiveBody
from crosswire.cluster.receivers import Receivers, ReceiveUnproven, Signing
from crosswire.cluster.send_buffer import OVERHEAD, Budget, SendBuffer
from crosswire.core.envelopes import pack_header
from crosswire.core.numbering import MessageNumbers
from crosswire.core.signing import sender_of
from crosswire.runtime.flusher import Flusher
from crosswire.runtime.log_records import about, get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.types import GapInfo

logger = get_logger("crosswire.cluster")


class OrderedPort:
    """Carries a node's messages so that each comes once, and the messages of one sender on one channel in order.

    It numbers the messages that a node publishes, and keeps them while the bus can't take them. Of received messages it
    drops duplicates, holds back those that came too early, and reports missing ones. All the rest is done by the bus'
    own :class:`~crosswire.cluster.interface.Port`.

    Args:
        bus: carries the messages.
        events: called when something happens.
        name: of the node.
        origin: 8 bytes, unique to this run of the node; all its messages carry them.
        signing: checks signatures; None if messages are not signed.

    Attributes:
        signed: whether nobody without the secret can send or answer anything.
        bus_port: the bus' own port.
        flusher: flushes what is published at the end of a turn.
        dropped: messages that were published and are lost.
        unreadable: messages that came without a valid header.
        gaps: how often messages may have been missed.
        take_stray_record: takes the channel and a message of a log which no log of a room is known to use; it returns
            whether that can be read.
        publish_joined: publishes a message with those that follow it; see :class:`JoinedMessages`.
        publisher_for_users: returns the function that does so with the JSON of a message for a user.
        use_paths, is_listening, wait_listening, count_listeners: as of :class:`~crosswire.cluster.interface.Port`.
        remember: remembers the messages of a member's origin until it is gone; see
            :class:`~crosswire.core.silent_senders.SilentSenders`.
        forget: forgets the messages of an origin that is gone.
    """

    signed = False

    def __init__(self, bus: Bus, events: BusEvents, name: str, origin: bytes, signing: Signing | None = None) -> None:
        self.origin = origin
        self._name = name
        self.dropped = self.unreadable = self.gaps = self._plain_published = self._batched = 0
        self._events = events
        # Callbacks that need nothing of this object go to the node directly.
        self.paths_changed = events.paths_changed
        self.path_lost = events.path_lost
        self.restored = events.restored
        self.health_changed = events.health_changed
        self.subscription_failed = events.subscription_failed
        self._warnings = ThrottledWarnings(logger)
        self.take_stray_record: Callable[[bytes, bytes], bool] = _refuse
        self._repaired: set[bytes] = set()  # channels on which a log publishes: what is missing is read there
        self._numbers = MessageNumbers()
        self._next = self._numbers.next
        self._budget = Budget(bus.buffer)
        self._buffer = SendBuffer(self._budget, bus.overflow, self.messages_dropped)
        self._publish = self._buffer.publish  # or the port's own, while it is not paused
        self._publish_plain = self._buffer.publish_plain
        self._gap_reports = GapReports(self.gap)
        self.bus_port = port = bus.attach(self, name, origin, self._budget)
        self.flusher = port.flusher if isinstance(port, FlushedPort) else Flusher()
        self._joined = JoinedMessages(self._budget, self._buffer, self.flusher, self._admits, self._publish_numbered)
        # Themselves: a method around them would be a call more for each message.
        self.publish_joined, self.publisher_for_users = self._joined.publish, self._joined.publisher_for_users
        self._receivers = Receivers(origin, port, self, signing)
        self.remember = self._receivers.remember
        self.forget = self._receivers.forget
        self.use_paths = port.use_paths
        self.is_listening = port.is_listening
        self.wait_listening = port.wait_listening
        self.count_listeners = port.count_listeners

    @property
    def available(self) -> bool:
        """Whether other nodes can be reached."""
        return self.bus_port.available

    @property
    def joins(self) -> bool:
        """Whether messages of a turn may share one publication: whether all members can read that."""
        return self._joined.joins

    @joins.setter
    def joins(self, value: bool) -> None:
        self._joined.joins = value

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths over which this port receives."""
        return self.bus_port.paths

    async def start(self) -> None:
        """Connect. Return when other nodes can be reached, or after a short while without.

        Raises:
            ConfigError: the options of the bus can never work.
        """
        await self.bus_port.start()

    async def stop(self) -> None:
        """Send what was published, if that is possible soon, and disconnect."""
        self._joined.publish_waiting()
        try:
            await self.bus_port.stop()
        finally:
            self.pause_publishing()
            self._buffer.close()
            self._receivers.clear()
            self._gap_reports.stop()

    @property
    def joins_texts(self) -> bool:
        """Whether all members can read a :class:`~crosswire.core.envelopes.TextBatch`."""
        return self._joined.joins_texts

    @joins_texts.setter
    def joins_texts(self, value: bool) -> None:
        self._joined.joins_texts = value

    # Publishing

    @property
    def published(self) -> int:
        """Number of messages that were handed over to be published or announced."""
        return self._numbers.count + self._plain_published + self._batched + self._joined.uncounted

    def publish(self, channel: bytes, body: bytes, *, plain: bool = False, count: int = 1) -> None:
        """Publish a message. While the bus can't take it, it is kept, up to a limit.

        Args:
            channel: its name.
            body: of the message.
            plain: send the body alone, for programs that know nothing of Crosswire. It has no number then, so it may
                come twice or not at all, and it comes to the publisher too.
            count: how many messages it is, if it is a batch.

        Raises:
            BusUnavailable: too much waits already, and that is the policy.
        """
        self._joined.publish_waiting()
        size = len(channel) + len(body) + OVERHEAD
        is_taken = size <= self._budget.free or self._admits(channel, size, count, plain=plain)
        self._batched += count - 1  # the others than the one that has a number
        if not is_taken:
            return
        if plain:
            self._plain_published += 1
            self._publish_plain(channel, body)
            return
        self._publish_numbered(channel, body)

    def _admits(self, channel: bytes, size: int, count: int = 1, *, plain: bool = False) -> bool:
        """Decide about a message, or a batch of some, that does not fit in: return whether to take it."""
        if self._has_room(size) or self._buffer.admits(count):
            return True
        if not plain:
            self._next(channel)  # uses up a number, so that receivers find out that a message is missing
        return False

    def _publish_numbered(self, channel: bytes, body: bytes) -> None:
        number, previous = self._next(channel)
        publish = self._publish  # read first: else Python looks for a method
        publish(channel, pack_header(self.origin, number, previous), body)

    def _header(self, channel: bytes, number: int, previous: int, body: bytes) -> bytes:
        """Return the header of a message."""
        return pack_header(self.origin, number, previous)

    def reserve(self, size: int) -> bool:
        """Take bytes of the send buffer for a message that waits elsewhere; return False if it does not fit in.

        Raises:
            BusUnavailable: too much waits already, and that is the policy.
        """
        if size > self._budget.free and not (self._has_room(size) or self._buffer.admits()):
            return False
        self._budget.free -= size
        return True

    def require_room(self, sizes: Collection[int]) -> None:
        """Check that none of several messages will be refused, once what waits for the end of the turn is published.

        Args:
            sizes: of each message's channel and body together, in bytes.

        Raises:
            BusUnavailable: one of them would be refused.
        """
        self._joined.publish_waiting()
        self._buffer.require_room(sizes)

    def _has_room(self, size: int) -> bool:
        """Publish what waits for the end of the turn, and return whether a message fits in now."""
        self._joined.publish_waiting()
        return size <= self._budget.free

    def release(self, size: int) -> None:
        """Give back bytes of the send buffer."""
        self._budget.free += size

    def announce(self, channel: bytes, body: bytes) -> None:
        """Publish a message over all paths that are connected now; if there are none, drop it."""
        self._joined.publish_waiting()
        number, previous = self._next(channel)
        if not self.bus_port.announce(channel, self._header(channel, number, previous, body), body):
            self._numbers.take_back(channel, previous)  # or receivers would wait in vain for the dropped message

    # Listening

    def subscribe(
        self,
        channel: bytes,
        receive: ReceiveBody,
        *,
        plain: bool = False,
        is_readable: IsReadable | None = None,
        unproven: ReceiveUnproven | None = None,
        take_record: Receive | None = None,
    ) -> None:
        """Begin to listen on a channel, without waiting. A later call replaces the receiver of the channel.

        Args:
            channel: its name.
            receive: takes the bodies; returns False for a body that can't be read, whose number does not count.
            plain: as for :meth:`publish`.
            is_readable: checks a body whose message does not follow the one before it; None if all can be read.
            unproven: takes the body of a signed message that may be a replay.
            take_record: takes the messages that a log publishes on the channel, as they come.
        """
        if take_record is not None:
            self._repaired.add(channel)
        take = self._receivers.open(
            channel, receive, plain=plain, is_readable=is_readable, unproven=unproven, take_record=take_record
        )
        self.bus_port.subscribe(channel, take)

    def unsubscribe(self, channel: bytes) -> None:
        """Leave a channel; do nothing if this node does not listen on it."""
        self._receivers.close(channel)
        self._repaired.discard(channel)
        self.bus_port.unsubscribe(channel)

    # PortEvents

    def pause_publishing(self) -> None:
        """Keep messages until the bus can take them again."""
        self._buffer.paused = True
        self._publish = self._buffer.publish
        self._publish_plain = self._buffer.publish_plain
        self._joined.publish_waiting()

    def resume_publishing(self) -> None:
        """Publish the messages that were kept, and from now on new ones at once."""
        self._buffer.paused = False
        self._buffer.flush(self.bus_port)
        if not self._buffer.paused:
            self._publish = self.bus_port.publish
            self._publish_plain = self.bus_port.publish_plain

    def messages_dropped(self, reason: str | None, count: int = 1) -> None:
        """Count messages that are lost; ``reason`` is None if the port has logged it."""
        self.dropped += count
        if reason is None:
            return
        if count == 1:
            text = "a message to other nodes is dropped: %s"
            self._warnings.warn("dropped", text, reason, extra=about(node=self._name))
        else:
            text = "%d messages to other nodes are dropped: %s"
            self._warnings.warn("several dropped", text, count, reason, extra=about(node=self._name))

    def gap(self, info: GapInfo) -> None:
        """Count a gap, and tell the node."""
        self.gaps += 1
        try:
            self._events.gap(info)
        except Exception:
            logger.exception("reporting a gap failed")

    # ReceiverEvents

    def message_refused(self, message: bytes, why: str) -> None:
        """Count a message that is not signed with the secret; log once which node sends such messages."""
        self.unreadable += 1
        if (name := sender_of(message)) is None:
            self._warnings.warn("refused", "a message that came over the bus is refused: %s", why)
        else:
            text = "messages of a node that calls itself %r are refused: %s. Give all nodes the same Redis(secret=...)"
            self._warnings.warn_once("a node's messages are refused", name, text, why)

    def message_replayed(self) -> None:
        """Count a message that was sent before this node listened."""
        self.unreadable += 1
        self._warnings.warn("replayed", "a message that came over the bus is refused: it is old")

    def message_unreadable(self, message: bytes) -> None:
        """Count a message without a valid header; log once which node sends such messages."""
        self.unreadable += 1
        if (name := sender_of(message)) is not None:
            text = "messages of a node that calls itself %r can't be read: it has a secret, or another version"
            self._warnings.warn_once("a node's messages can't be read", name, text)
            return
        self._warnings.warn("unreadable", "a message that came over the bus has no header of ours, and is lost")

    def record_came(self, channel: bytes, message: bytes) -> None:
        """Take a message of a log that came on a channel which no log of a room is known to use."""
        if not self.take_stray_record(channel, message):
            self.message_unreadable(message)

    def messages_missed(self, channels: Collection[bytes], since: float) -> None:
        """Report that messages on ``channels`` did not come, though later ones did; not where a log repairs that."""
        if self._repaired:
            named = bool(channels)
            channels = [channel for channel in channels if channel not in self._repaired]
            if named and not channels:
                return
        self._gap_reports.note(channels, since)

    def report_loss(self, channel: bytes, since: float) -> None:
        """Report that messages did not come on a channel, and that its log does not have them any more."""
        self._gap_reports.note((channel,), since)


def _refuse(_channel: bytes, _message: bytes) -> bool:
    """Refuse the messages of logs, where no room keeps history."""
    return False
