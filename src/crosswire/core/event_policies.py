"""Policies of events: what happens to a message for a connection whose client reads too slowly."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeGuard, get_args

import msgspec

from crosswire.core.codecs import JSON
from crosswire.core.names import MAX_KEPT_NAME, require_event
from crosswire.core.options import suggestion
from crosswire.errors import ConfigError, InvalidPayload, UsageError

DropPolicyName = Literal["drop-oldest", "drop-newest", "latest", "volatile"]
"""Names of the policies by which a message may be dropped."""
PolicyName = Literal["close", "drop-oldest", "drop-newest", "latest", "volatile"]
"""Names of all policies; see ``Server.policy``."""
MAX_HEADS = 1024
"""Events whose messages' beginnings are kept; beyond it, all are forgotten."""
_POLICIES: tuple[PolicyName, ...] = get_args(PolicyName)


class EventPolicy(NamedTuple):
    """Policy of an event, as an application gives it.

    Attributes:
        name: of the policy.
        key: field of the data; of messages with the same value there only the newest waits.
    """

    name: PolicyName
    key: str | None = None


class MessagePolicy(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Policy of one message, as it travels with the message.

    Attributes:
        name: of the policy; a message without any is one of "close".
        event: of the message.
        key: value of the field that is the key, as JSON; None if there is no key.
    """

    name: DropPolicyName
    event: str
    key: str | None = None


SendPolicy = EventPolicy | MessagePolicy
"""Policy that a message is sent with: as it was given, or as it is once the message has been looked at."""


class EventPolicies:
    """Policies that an application has declared for its events.

    Attributes:
        declared: the policies by event; those that are "close" are left out.
        heads: what the JSON of messages begins with, up to their data, by event; of checked events without a policy
            that have been sent lately.
    """

    __slots__ = ("declared", "heads")

    def __init__(self) -> None:
        self.declared: dict[str, EventPolicy] = {}
        self.heads: dict[str, bytes] = {}

    def declare(self, event: str, name: PolicyName, key: str | None) -> None:
        """Declare the policy of an event, in place of one that was declared before.

        Raises:
            ConfigError: there is no such policy, or it has no key.
            UsageError: the event's name can't be used.
        """
        try:
            policy = event_policy(name, key)
        except UsageError as error:
            raise ConfigError(str(error)) from error
        self.heads.pop(event, None)
        if policy.name == "close":
            self.declared.pop(require_event(event), None)
        else:
            self.declared[require_event(event)] = policy

    def keep_head(self, event: str) -> None:
        """Keep what the messages of an event begin with, unless it has a policy. Its name has been checked."""
        if event in self.declared or len(event) > MAX_KEPT_NAME:
            return
        if len(self.heads) >= MAX_HEADS:
            self.heads.clear()
        self.heads[event] = b'{"event":%b,"payload":' % JSON.encode(event)

    def of_message(self, event: str, data: Any, given: SendPolicy | None) -> MessagePolicy | None:
        """Return the policy of a message: the given one, or else that of its event; None for "close".

        Raises:
            InvalidPayload: the data has no field that is the key, or one with more than a value in it.
        """
        if isinstance(given, MessagePolicy):
            return given
        policy = given or self.declared.get(event)
        if policy is None or policy.name == "close":
            return None
        return MessagePolicy(policy.name, event, None if policy.key is None else _key_of(event, data, policy.key))


def event_policy(name: object, key: object = None) -> EventPolicy:
    """Check a policy and its key.

    Raises:
        UsageError: there is no such policy, it has no key, or the key is no field's name.
    """
    if not _is_policy(name):
        known = ", ".join(map(repr, _POLICIES))
        raise UsageError(f"policy={name!r}: give one of {known}.{suggestion(name, _POLICIES)}")
    if key is None:
        return EventPolicy(name)
    if name != "latest":
        raise UsageError(f'key={key!r}: only the policy "latest" has a key, not {name!r}')
    if not isinstance(key, str) or not key:
        raise UsageError(f"key={key!r}: give the name of a field of the data")
    return EventPolicy(name, key)


def given_policy(name: object, key: object) -> EventPolicy | None:
    """Return the policy that a single message was given, checked, or None if it was given none.

    Raises:
        UsageError: as :func:`event_policy`.
    """
    if name is None:
        if key is not None:
            raise UsageError(f'key={key!r} without a policy: give policy="latest" too')
        return None
    return event_policy(name, key)


def _is_policy(name: object) -> TypeGuard[PolicyName]:
    return name in _POLICIES


def _key_of(event: str, data: Any, field: str) -> str:
    fields = data if isinstance(data, dict) else msgspec.json.decode(JSON.encode(data))
    if not isinstance(fields, dict) or field not in fields:
        raise InvalidPayload(f"the data of {event!r} has no field {field!r}, which is the key of its policy")
    value = JSON.encode(fields[field]).decode()
    if value[0] in "[{":
        raise InvalidPayload(f"the field {field!r} of {event!r} is the key of its policy: give a text or a number")
    return value
