"""The kernel's table of file descriptors has room for connections before they come."""

from __future__ import annotations

import subprocess
import sys

import pytest

from crosswire.transport.descriptor_table import ROOM

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux waits while the table grows")

REPORT = f"""
import fcntl, os, resource
from crosswire.transport.descriptor_table import enlarge_descriptor_table

def report(limit):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, {ROOM + 100}))
    descriptors = os.listdir("/proc/self/fd")
    enlarge_descriptor_table(1)
    size = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("FDSize:"))
    print(size, os.listdir("/proc/self/fd") == descriptors)

report(limit=1000)
last = fcntl.fcntl(0, fcntl.F_DUPFD, 999)
report(limit=1000)
os.close(last)
report(limit={ROOM + 100})
"""
"""Program that prints the room in its table for several limits, and whether it has the same descriptors as before."""


def test_there_is_room_for_thousands_or_as_many_as_the_process_may_have_and_no_descriptor_is_left_open() -> None:
    done = subprocess.run([sys.executable, "-c", REPORT], check=True, capture_output=True, text=True, timeout=60)
    low, low_and_its_last_in_use, high = done.stdout.splitlines()
    assert low == low_and_its_last_in_use == "1024 True"
    assert high == f"{ROOM} True"
