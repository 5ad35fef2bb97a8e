"""What keeps the process small must not keep it from working."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import threading
from gateway.memory import give_back, keep_small
keep_small()
blocks = [bytes(100_000) for _ in range(100)]
worker = threading.Thread(target=lambda: [bytes(200_000) for _ in range(100)])
worker.start(); worker.join()
del blocks
give_back()
print("fine")
"""


def test_memory_is_taken_and_given_back_after_the_allocator_was_set_up():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )

    assert ("fine\n", "") == (done.stdout, done.stderr)


STARTED = """
import gc
from gateway.memory import settle, start_without_collecting
start_without_collecting()
assert not gc.isenabled()
made = [{} for _ in range(10)]
settle()
assert gc.isenabled()
assert gc.get_freeze_count() > 10
assert not any(each is made for each in gc.get_objects())
print("fine")
"""


def test_what_a_start_made_is_looked_through_no_more():
    done = subprocess.run(
        [sys.executable, "-c", STARTED], capture_output=True, text=True, timeout=60, check=False
    )

    assert ("fine\n", "") == (done.stdout, done.stderr)
