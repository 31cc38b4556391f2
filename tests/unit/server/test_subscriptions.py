from __future__ import annotations

from typing import cast

from crosswire.cluster.client_channels import ClientChannels
from crosswire.server.subscriptions import Subscriptions


class FakeChannels:
    """Channels that record what is subscribed; a room is ready once ``ready`` is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.is_ready = True

    def subscribe_user(self, user: str) -> None:
        self.calls.append(("subscribe", user))

    def unsubscribe_user(self, user: str) -> None:
        self.calls.append(("unsubscribe", user))

    def subscribe_room(self, namespace: str, id: str) -> None:
        self.calls.append(("subscribe", namespace, id))

    def unsubscribe_room(self, namespace: str, id: str) -> None:
        self.calls.append(("unsubscribe", namespace, id))

    def room_ready(self, namespace: str, id: str) -> object:
        self.calls.append(("ready", namespace, id))
        return None if self.is_ready else self._wait(namespace, id)

    async def _wait(self, namespace: str, id: str) -> None:
        self.calls.append(("waited", namespace, id))


def attach(subscriptions: Subscriptions) -> FakeChannels:
    channels = FakeChannels()
    subscriptions.attach(lambda: cast(ClientChannels, channels))
    return channels


async def use(subscriptions: Subscriptions) -> None:
    subscriptions.add_user("13")
    subscriptions.add_room("chat", "1")
    assert subscriptions.room_ready("chat", "1") is None
    subscriptions.remove_room("chat", "1")
    subscriptions.remove_user("13")


async def test_without_a_cluster_nothing_happens() -> None:
    await use(Subscriptions())


async def test_the_channels_of_users_and_rooms_are_subscribed_and_unsubscribed() -> None:
    subscriptions = Subscriptions()
    channels = attach(subscriptions)
    await use(subscriptions)
    assert channels.calls == [
        ("subscribe", "13"),
        ("subscribe", "chat", "1"),
        ("ready", "chat", "1"),
        ("unsubscribe", "chat", "1"),
        ("unsubscribe", "13"),
    ]


async def test_a_room_that_is_not_ready_is_waited_for() -> None:
    subscriptions = Subscriptions()
    channels = attach(subscriptions)
    channels.is_ready = False
    ready = subscriptions.room_ready("chat", "1")
    assert ready is not None
    await ready
    assert channels.calls[-1] == ("waited", "chat", "1")
