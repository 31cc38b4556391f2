"""Programs that use an emitter, each run in a process of its own: ``python -m ... NAME URL PREFIX``."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable

from crosswire import Emitter, Redis

MESSAGES = 20
PROCESSES = 4


def script(redis: Redis) -> None:
    """Send as a script does that ends right away, without closing its emitter."""
    emitter = Emitter(redis=redis)
    for number in range(MESSAGES):
        emitter.user("1").send("x", ["script", number])


def _send(emitter: Emitter, sender: str) -> None:
    for number in range(MESSAGES):
        emitter.user("1").send("x", [sender, number])


def forks(redis: Redis) -> None:
    """Send in a process and in its children, forked while a thread is sending, as gunicorn and Celery may do."""
    emitter = Emitter(redis=redis)
    emitter.user("1").send("x", ["before", 0])
    busy = threading.Thread(target=_send, args=(emitter, "thread"))
    busy.start()
    children = list[int]()
    for child in range(PROCESSES):
        pid = os.fork()
        if not pid:
            _send(emitter, f"child {child}")
            os._exit(0)
        children.append(pid)
    _send(emitter, "parent")
    busy.join()
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    emitter.user("1").send("x", ["after", 0])


def pool(redis: Redis) -> None:
    """Send in the processes of a pool, which are forked."""
    emitter = Emitter(redis=redis)
    emitter.user("1").send("x", ["before", 0])
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_send, args=(emitter, f"child {number}")) for number in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


PROGRAMS: dict[str, Callable[[Redis], None]] = {each.__name__: each for each in (script, forks, pool)}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](Redis(sys.argv[2].split(), prefix=sys.argv[3]))
