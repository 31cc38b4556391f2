"""The scripted clients of the demo: ordinary Crosswire clients that follow a script of dialogues."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypedDict

from crosswire import Client, CrosswireError, NotConnected

Line = tuple[str, str]
"""Speaker and text."""

DIALOGUES: list[tuple[str, list[Line]]] = [
    (
        "lobby",
        [
            ("Carmen", "How does one message get to all of us in here?"),
            ("Ada", 'One line on the server: server.room("chat", "lobby").send("said", message)'),
            ("Carmen", "And it is encoded for each of us?"),
            ("Ada", "Once for all of us. Then it is only bytes to write."),
            ("Basho", "One frame, many wires / the room hears it as one voice / nobody waited"),
        ],
    ),
    (
        "music",
        [
            ("Basho", "I have the same three songs on repeat again."),
            ("Carmen", "Still the cello suites?"),
            ("Basho", "Still the cello suites."),
            ("Carmen", "Some people call that taste."),
        ],
    ),
    (
        "lobby",
        [
            ("Basho", "What happens if I pull the network cable?"),
            ("Ada", "Your client notices that a heartbeat has no echo, and tries again, each time at a random moment."),
            ("Basho", "Why random?"),
            ("Ada", "So that a thousand of us don't come back in the same millisecond."),
        ],
    ),
    (
        "games",
        [
            ("Deniz", "I am thinking of a number between 1 and 100."),
            ("Ada", "50?"),
            ("Deniz", "Higher."),
            ("Ada", "75?"),
            ("Deniz", "That's the one! How?"),
            ("Ada", "I know how you were written."),
        ],
    ),
    (
        "lobby",
        [
            ("Deniz", "I keep leaving and coming back. Does anybody have to clean up after me?"),
            ("Ada", "No. Your user, your rooms and your open calls go when your connection goes."),
            ("Carmen", "And we see it at once, look at the list of people."),
        ],
    ),
]

POLLS = itertools.cycle(
    [
        ("lobby", "Tea or coffee?", ["Tea", "Coffee", "Water"]),
        ("lobby", "Tabs or spaces?", ["Tabs", "Spaces"]),
        ("lobby", "Which is the best hour to deploy?", ["Morning", "Evening", "Friday"]),
    ]
)

ROOMS_OF = {
    "Ada": ("lobby", "games"),
    "Basho": ("lobby", "music"),
    "Carmen": ("lobby", "music"),
    "Deniz": ("lobby", "games"),
}

PAGE_EVENTS = ("welcome", "picture", "arrived", "went", "joined", "left", "polled", "news", "vitals")
"""Events that only the page shows. A client logs events without a handler, so a bot has one that does nothing."""

REPLIES = (
    "I'm only a script, but I heard you, {name}. Ask me something in #lobby.",
    "Hello {name}! A handler of mine was called with your message, and this is what it does with it.",
    "Well said, {name}. Try a second browser window: two of you can talk to each other.",
)

# The reply to each line of a dialogue: (room, text) -> speaker and text.
CUES: dict[tuple[str, str], Line] = {
    (room, heard): reply for room, lines in DIALOGUES for (_, heard), reply in itertools.pairwise(lines)
}


class Poll(TypedDict):
    """A question of the server. As a handler's annotation, it is the type that the data is checked against."""

    question: str
    options: list[str]


class Bot:
    """A scripted client.

    Args:
        urls: URLs of the nodes; the first is tried first.
        name: name of the bot, one of those in ``ROOMS_OF``.
        key: proof that it is a bot.
        pace: seconds before a reply, roughly.
    """

    def __init__(self, urls: Sequence[str], name: str, key: str, pace: float) -> None:
        self.name = name
        self._urls = urls
        self._key = key
        self._pace = pace
        self._greeted: set[str] = set()
        self._replies = itertools.cycle(REPLIES)
        self._client = self._make_client(urls[0])

    async def stay(self) -> None:
        """Stay in the chat until cancelled. When a node is gone, connect to the next one."""
        for url in itertools.cycle(self._urls):
            self._client = self._make_client(url)
            lost = asyncio.Event()
            self._client.on_close(lost.set)
            try:
                async with self._client:
                    await lost.wait()
            except NotConnected:
                await asyncio.sleep(random.uniform(0, 0.5))

    async def say(self, to: str, name: str | None, text: str) -> None:
        """Say a text to everyone, a room or a user."""
        await self._client.call("say", {"to": to, "name": name, "text": text})

    async def ask(self, room: str, question: str, options: list[str]) -> None:
        """Ask a room, and wait for the result."""
        seconds = max(self._pace * 4, 1)
        poll = {"room": room, "question": question, "options": options, "seconds": seconds}
        await self._client.call("ask", poll, timeout=seconds + 5)

    def _make_client(self, url: str) -> Client:
        # A client reconnects to the same server, unless its policy says no: this one connects to another.
        client = Client(url, params={"name": self.name, "key": self._key}, reconnect_policy=lambda _close: False)
        client.on_open(self._enter)
        client.on_error(_ignore_losses)
        client.on("said", self._hear)
        client.on("poll", self._vote)
        for event in PAGE_EVENTS:
            client.on(event, lambda: None)
        if self.name == "Ada":  # she is the hostess
            client.on("arrived", self._greet)
        return client

    async def _enter(self) -> None:
        """Join the rooms again, on each new connection."""
        for room in ROOMS_OF[self.name]:
            await self._client.call("join", {"room": room})

    async def _hear(self, said: dict[str, Any]) -> None:
        sender, to, room = said["from"], said["to"], said["name"]
        speaker, reply = CUES.get((room, said["text"]), ("", ""))
        if sender in ROOMS_OF:  # one of us: is it my turn in the dialogue?
            if speaker == self.name and to == "room":
                await self._think()
                await self.say("room", room, reply)
        elif to == "user":  # somebody wrote to me
            await self._think(0.5)
            await self.say("user", sender, next(self._replies).format(name=sender))
        elif self.name.casefold() in said["text"].casefold():  # somebody mentioned me
            await self._think(0.5)
            await self.say(to, room, next(self._replies).format(name=sender))

    async def _greet(self, person: dict[str, Any]) -> None:
        name = person["name"]
        if person["bot"] or name in self._greeted:
            return
        self._greeted.add(name)
        await self._think(0.7)
        await self.say("user", name, f"Welcome, {name}! Only you see this. Write back, or say something in a room.")

    async def _vote(self, poll: Poll) -> str:
        """Answer a question of the server: the return value of a handler is the answer."""
        await self._think(random.uniform(0.2, 1.5))
        return random.choice(poll["options"])

    async def _think(self, times: float = 1) -> None:
        await asyncio.sleep(self._pace * times * random.uniform(0.8, 1.2))


class Cast:
    """All bots, and their script.

    Args:
        urls: URLs of the nodes.
        key: proof that they are bots.
        pace: seconds between two lines.
    """

    def __init__(self, urls: Sequence[str], key: str, pace: float) -> None:
        self._pace = pace
        self._bots = {
            # Each tries another node first, as long as there are enough.
            name: Bot([*urls[at % len(urls) :], *urls[: at % len(urls)]], name, f"{key}-{name}", pace)
            for at, name in enumerate(ROOMS_OF)
        }

    async def play(self) -> None:
        """Connect the bots and let them play, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for bot in self._bots.values():
                group.create_task(self._wander(bot) if bot.name == "Deniz" else bot.stay())
                await asyncio.sleep(self._pace / 4)
            group.create_task(self._talk())

    async def _talk(self) -> None:
        """Begin dialogues, one after the other, and ask a question after every second one."""
        for number, (room, lines) in enumerate(itertools.cycle(DIALOGUES)):
            speaker, text = lines[0]
            with suppress(CrosswireError):  # the server or the speaker is away
                await self._bots[speaker].say("room", room, text)
            await asyncio.sleep(self._pace * (len(lines) + 0.5))
            if number % 2:
                with suppress(CrosswireError):
                    await self._bots["Carmen"].ask(*next(POLLS))

    async def _wander(self, bot: Bot) -> None:
        """Let a bot disconnect and come back, now and then."""
        while True:
            staying = asyncio.create_task(bot.stay())
            try:
                await asyncio.sleep(self._pace * 18)
                with suppress(CrosswireError):
                    await bot.say("everyone", None, "I have to go, see you in a moment.")
                await asyncio.sleep(self._pace)
            finally:
                staying.cancel()
                await asyncio.wait([staying])
            await asyncio.sleep(self._pace * 4)


def _ignore_losses(error: BaseException) -> None:
    """Ignore errors of the connection, as the client reconnects; raise others, which are errors of the script."""
    if not isinstance(error, CrosswireError):
        raise error
