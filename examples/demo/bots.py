"""The scripted clients of the demo: each is an ordinary Crosswire client that knows some lines and when to say them."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import suppress
from typing import Any, TypedDict

from crosswire import Client, CrosswireError

Line = tuple[str, str]
"""Who says what."""

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

REPLIES = (
    "I'm only a script, but I heard you, {name}. Ask me something in #lobby.",
    "Hello {name}! A handler of mine was called with your message, and this is what it does with it.",
    "Well said, {name}. Try a second browser window: two of you can talk to each other.",
)

# Whoever hears the line on the left, and is named on the right, says what is there.
CUES: dict[tuple[str, str], Line] = {
    (room, heard): reply for room, lines in DIALOGUES for (_, heard), reply in itertools.pairwise(lines)
}


class Poll(TypedDict):
    """What the server asks. As a handler's annotation, it is what the data is checked against."""

    question: str
    options: list[str]


class Bot:
    """One scripted client.

    Args:
        url: of the chat server.
        name: its own, one of those in ``ROOMS_OF``.
        key: its proof that it is a bot.
        pace: seconds between hearing and answering, roughly.
    """

    def __init__(self, url: str, name: str, key: str, pace: float) -> None:
        self.name = name
        self._pace = pace
        self._greeted: set[str] = set()
        self._replies = itertools.cycle(REPLIES)
        self.client = Client(url, params={"name": name, "key": f"{key}-{name}"}, fast_interval=1, max_interval=5)
        self.client.on_open(self._enter)
        self.client.on_error(_ignore_losses)
        self.client.on("said", self._hear)
        self.client.on("poll", self._vote)
        if name == "Ada":  # she is the hostess
            self.client.on("arrived", self._greet)

    async def say(self, to: str, name: str | None, text: str) -> None:
        """Say something."""
        await self.client.call("say", {"to": to, "name": name, "text": text})

    async def ask(self, room: str, question: str, options: list[str]) -> None:
        """Ask a room, and wait for the result."""
        seconds = max(self._pace * 4, 1)
        poll = {"room": room, "question": question, "options": options, "seconds": seconds}
        await self.client.call("ask", poll, timeout=seconds + 5)

    async def _enter(self) -> None:
        """Join the rooms, now and whenever the connection has been lost and is back."""
        for room in ROOMS_OF[self.name]:
            await self.client.call("join", {"room": room})

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
        """Answer a question of the server: what a handler returns is the answer."""
        await self._think(random.uniform(0.2, 1.5))
        return random.choice(poll["options"])

    async def _think(self, times: float = 1) -> None:
        await asyncio.sleep(self._pace * times * random.uniform(0.8, 1.2))


class Cast:
    """All the bots, and what they play.

    Args:
        url: of the chat server.
        key: their proof that they are bots.
        pace: seconds between two lines.
    """

    def __init__(self, url: str, key: str, pace: float) -> None:
        self._pace = pace
        self._bots = {name: Bot(url, name, key, pace) for name in ROOMS_OF}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Let them come."""
        self._task = asyncio.create_task(self._play(), name="demo bots")

    async def stop(self) -> None:
        """Let them go; return when they are gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await asyncio.gather(*(bot.client.close() for bot in self._bots.values()))

    async def _play(self) -> None:
        for bot in self._bots.values():
            await asyncio.sleep(self._pace / 4)
            await bot.client.connect()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._talk())
            group.create_task(self._wander(self._bots["Deniz"]))

    async def _talk(self) -> None:
        """Have dialogues begun, one after the other, and a question after every other one."""
        for number, (room, lines) in enumerate(itertools.cycle(DIALOGUES)):
            speaker, text = lines[0]
            with suppress(CrosswireError):  # while the server or the speaker is away, the play goes on
                await self._bots[speaker].say("room", room, text)
            await asyncio.sleep(self._pace * (len(lines) + 0.5))
            if number % 2:
                with suppress(CrosswireError):
                    await self._bots["Carmen"].ask(*next(POLLS))

    async def _wander(self, bot: Bot) -> None:
        """Let one of them disconnect and come back, now and then."""
        while True:
            await asyncio.sleep(self._pace * 18)
            with suppress(CrosswireError):
                await bot.say("everyone", None, "I have to go, see you in a moment.")
            await asyncio.sleep(self._pace)
            await bot.client.close()
            await asyncio.sleep(self._pace * 4)
            await bot.client.connect()


def _ignore_losses(error: BaseException) -> None:
    """Keep quiet about what goes wrong with a connection: the client repairs it. A fault of the script is no such."""
    if not isinstance(error, CrosswireError):
        raise error
