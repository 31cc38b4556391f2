"""Django Channels on uvicorn, with the faster of the two channel layers of channels_redis, the one on Redis' pub/sub.

A message is encoded once, and travels to the consumers as text. Even one server needs its Redis, as a channel layer in
memory is not meant for production. Run it as `python -m bench.peers.adapters.channels_chat --name A --redis URL`. It
prints `PORT n` when it listens and stops on SIGTERM.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import django
from django.conf import settings

from bench.peers.adapters import options

arguments = options.parse(__doc__)
settings.configure(
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": arguments.redis},
        }
    },
    INSTALLED_APPS=["channels"],
)
django.setup()

# These need the settings. They are installed for the comparison alone.
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402  # pyright: ignore[reportMissingModuleSource]
from channels.routing import ProtocolTypeRouter  # noqa: E402  # pyright: ignore[reportMissingModuleSource]

from bench.servers.uvicorn_server import serve  # noqa: E402

REPLY = {"msg": "I am a reply to your say event"}


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One client of the chat."""

    async def connect(self) -> None:
        """Take the user's name from the URL, ?id=7, and listen to what is for it."""
        user = parse_qs(self.scope["query_string"].decode()).get("id")
        if user is None:
            await self.close(4011)
            return
        self.rooms = ["everyone", f"user.{user[0]}"]
        for room in self.rooms:
            await self.channel_layer.group_add(room, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Leave all rooms."""
        for room in self.rooms:
            await self.channel_layer.group_discard(room, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Do what a client's message asks for, and answer a call."""
        assert text_data is not None
        message = json.loads(text_data)
        answer = await self.take(message["event"], message["payload"])
        if "callbackId" in message:
            await self.send(json.dumps({"payload": answer, "callbackId": message["callbackId"]}))

    async def take(self, event: str, payload: Any) -> Any:
        """Return the answer to a client's message."""
        match event:
            case "publish":
                await self.tell_group("everyone", {"event": "news", "payload": payload})
            case "publish_room":
                await self.tell_group(
                    f"chat.{payload['room_id']}", {"event": "news", "payload": {"text": payload["text"]}}
                )
            case "say":
                return REPLY
            case "join":
                self.rooms.append(f"chat.{payload['room_id']}")
                await self.channel_layer.group_add(self.rooms[-1], self.channel_name)
            case "tell":
                await self.tell_group(f"user.{payload['to']}", {"event": "told", "payload": {"text": payload["text"]}})
        return {"ok": True}

    async def tell_group(self, group: str, message: dict[str, Any]) -> None:
        """Send a message to a group, as text."""
        await self.channel_layer.group_send(group, {"type": "pass.on", "text": json.dumps(message)})

    async def pass_on(self, event: dict[str, str]) -> None:
        """Send the client what its group was told."""
        await self.send(event["text"])


if __name__ == "__main__":
    serve(ProtocolTypeRouter({"websocket": Chat.as_asgi()}), cert=arguments.cert, key=arguments.key)
