"""Whatever happens between the servers, in the end everybody sees the same plan."""

from __future__ import annotations

from functools import partial

from crosswire import Client
from crosswire.testing import Simulation, find_failing_seed

from .app import Bookings, make_server


class Viewer:
    """A client that looks at the plan, as the page does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.plan: dict[str, str] = {}
        client.on_open(self.watch)
        client.on("plan", self.show)
        client.on("taken", lambda data: self.plan.update({data["seat"]: data["user"]}))

    async def watch(self) -> None:
        """Ask for the plan, after each time that the client has connected."""
        self.show(await self.client.call("watch"))

    def show(self, plan: dict[str, str]) -> None:
        """Show a whole plan in place of the old one."""
        self.plan = plan


async def an_evening(sim: Simulation, *, forgetful: bool = False) -> None:
    """Let people book seats while the servers lose sight of each other; then everybody sees the same."""
    bookings = Bookings()
    a, b = await sim.servers(2, partial(make_server, bookings=bookings, forgetful=forgetful))
    viewers = [Viewer(sim.client(server, f"/?user={user}")) for server, user in ((a, "ann"), (a, "bob"), (b, "cleo"))]
    for viewer in viewers:
        await viewer.client.connect()
    await sim.sleep(1)  # all watch
    for number, viewer in enumerate(viewers):
        await viewer.client.call("book", f"A{number}")

    for number in range(10):
        await sim.sleep(sim.random.uniform(0, 2))
        if sim.random.random() < 0.05:
            sim.partition([a], [b])
        elif sim.random.random() < 0.5:
            sim.heal()
        await sim.random.choice(viewers).client.call("book", f"B{number}")

    sim.heal()
    await sim.sleep(5)
    for number, viewer in enumerate(viewers):  # a message that is missing shows when the next one comes
        await viewer.client.call("book", f"C{number}")
    await sim.sleep(1)
    for viewer in viewers:
        assert viewer.plan == bookings.seats


def test_everybody_sees_the_same_in_the_end() -> None:
    failing = find_failing_seed(an_evening, range(10))
    assert failing is None, failing


def test_with_a_seed_of_its_own(crosswire_simulation: Simulation) -> None:
    crosswire_simulation.run(an_evening)
