"""Messages in requests to the publish endpoint, their checks, and its description as OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType

from crosswire.core.audience import Audience
from crosswire.core.codecs import JSON
from crosswire.core.event_policies import EventPolicies, PolicyName, given_policy
from crosswire.core.names import require_event
from crosswire.core.targets import excluding
from crosswire.errors import InvalidMessage, InvalidPayload, UsageError

PUBLISH_PATH = "/publish"
DESCRIPTION_PATH = "/publish/openapi.json"
_AUDIENCES = ("user", "users", "room", "everyone")
_ID = Annotated[str, Meta(min_length=1)]
_PairOfNames = Annotated[tuple[_ID, _ID], Meta(description="Its namespace and its id.")]


class PublishedRoom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A room, by its two names."""

    namespace: _ID
    id: _ID


class PublishedMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event, its data, and its audience: one of user, users, room and everyone."""

    event: Annotated[str, Meta(min_length=1, description="Its name; it does not start with $.")]
    data: Annotated[Any, Meta(description="Anything.")] = None
    user: Annotated[_ID | UnsetType, Meta(description="A user, on all connections.")] = UNSET
    users: Annotated[list[_ID] | UnsetType, Meta(description="Some users; each gets it once.")] = UNSET
    room: Annotated[PublishedRoom | _PairOfNames | UnsetType, Meta(description="The members of a room.")] = UNSET
    everyone: Annotated[bool | UnsetType, Meta(description="Every user.", extra_json_schema={"const": True})] = UNSET
    exclude: Annotated[list[_ID], Meta(description="Users that do not get it.")] = []
    policy: Annotated[PolicyName | None, Meta(description="For connections whose clients read too slowly.")] = None
    key: Annotated[_ID | None, Meta(description='Field of the data, for the policy "latest".')] = None


class PublishedBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages that are sent in this order, or, if one of them is invalid, not at all."""

    messages: list[PublishedMessage]


class AudienceSource(Protocol):
    """Factory of audiences: a node or server."""

    @property
    def everyone(self) -> Audience:
        """Audience of all users that are connected."""
        ...

    def user(self, id: str) -> Audience:
        """Return the audience of one user."""
        ...

    def users(self, ids: list[str]) -> Audience:
        """Return the audience of some users."""
        ...

    def room(self, namespace: str, id: str) -> Audience:
        """Return the audience of a room's members."""
        ...


class ReadyMessage(msgspec.Struct, frozen=True):
    """A message that can be sent, as it has been checked.

    Attributes:
        audience: to send it to.
        event: its name.
        data: as JSON.
        exclude: users that do not get it.
        policy: for connections whose clients read too slowly.
        key: field of the data.
    """

    audience: Audience
    event: str
    data: msgspec.Raw
    exclude: list[str]
    policy: PolicyName | None
    key: str | None

    def send(self) -> None:
        """Send it; raises as :meth:`Audience.send` does."""
        self.audience.send(self.event, self.data, exclude=self.exclude, policy=self.policy, key=self.key)


def read_messages(body: bytes, audiences: AudienceSource) -> list[ReadyMessage]:
    """Return the messages of a request: of one, of a batch, or of a list of messages.

    Raises:
        ValueError: the body is no JSON.
        InvalidMessage: a message in it can't be sent; the text says which and why.
    """
    try:
        content = msgspec.json.decode(body.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    try:
        if isinstance(content, dict) and "messages" in content:
            batch, place = msgspec.convert(content, PublishedBatch).messages, "$.messages"
        elif isinstance(content, list):
            batch, place = msgspec.convert(content, list[PublishedMessage]), "$"
        else:
            return [_ready(msgspec.convert(content, PublishedMessage), audiences, "$")]
    except msgspec.ValidationError as error:
        raise InvalidMessage(str(error)) from error
    return [_ready(message, audiences, f"{place}[{at}]") for at, message in enumerate(batch)]


def _ready(message: PublishedMessage, audiences: AudienceSource, place: str) -> ReadyMessage:
    try:
        audience = _audience(message, audiences)
        excluding(message.exclude)
        data = msgspec.Raw(JSON.encode(message.data))
        event, policy, key = require_event(message.event), message.policy, message.key
        EventPolicies().of_message(event, message.data, given_policy(policy, key))
        return ReadyMessage(audience, event, data, message.exclude, policy, key)
    except (UsageError, InvalidPayload) as error:
        text = error.message if isinstance(error, InvalidPayload) else str(error)
        raise InvalidMessage(f"{text} - at `{place}`") from error


def _audience(message: PublishedMessage, audiences: AudienceSource) -> Audience:
    named = [name for name in _AUDIENCES if getattr(message, name) is not UNSET]
    if len(named) != 1:
        raise UsageError(f"name one audience, {', '.join(_AUDIENCES[:-1])} or {_AUDIENCES[-1]}, not {len(named)}")
    if not isinstance(message.user, UnsetType):
        return audiences.user(message.user)
    if not isinstance(message.users, UnsetType):
        return audiences.users(message.users)
    if isinstance(message.room, PublishedRoom):
        return audiences.room(message.room.namespace, message.room.id)
    if not isinstance(message.room, UnsetType):
        return audiences.room(*message.room)
    if message.everyone is not True:
        raise UsageError("everyone is true, or left out")
    return audiences.everyone


def describe(max_body: int) -> dict[str, Any]:
    """Return the description of the endpoint, as OpenAPI 3.1.

    Args:
        max_body: bytes of a request's body.
    """
    kinds = [PublishedMessage, PublishedBatch]
    references, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    message, batch = references
    schemas["PublishedMessage"]["oneOf"] = [{"required": [name]} for name in _AUDIENCES]
    schemas["Error"] = _ERROR_SCHEMA
    content = {"application/json": {"schema": {"anyOf": [message, batch, {"type": "array", "items": message}]}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Crosswire publish endpoint", "version": "1"},
        "servers": [{"url": ".."}],  # relative to this description
        "paths": {
            PUBLISH_PATH: {
                "post": {
                    "summary": "Send events to users, rooms or everyone, on all servers",
                    "description": f"A message, or a batch of them, in at most {max_body} bytes.",
                    "operationId": "publish",
                    "security": [{"key": []}],
                    "requestBody": {"required": True, "content": content},
                    "responses": {"200": _SENT, **{status: _refusal(text) for status, text in _REFUSALS.items()}},
                }
            }
        },
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        },
        "sent": {"type": "integer", "description": "Messages that were sent before the error."},
    },
}
_SENT = {
    "description": "The messages were handed over.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["sent"],
                "properties": {"sent": {"type": "integer", "description": "Number of messages."}},
            }
        }
    },
}
_REFUSALS = {
    "400": "The body is no JSON.",
    "401": "The key is missing or wrong.",
    "413": "The body is too large.",
    "415": "The body is of another media type, or encoded.",
    "422": "A message can't be sent; none was.",
    "503": "Other servers can't be reached; try again later.",
}


def _refusal(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
