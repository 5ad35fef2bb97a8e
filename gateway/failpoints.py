"""Named places where a test may have this process die, as if by `kill -9`.

`BROKERGATE_FAILPOINTS=after_t2:3` ends the process at the third time that `after_t2` is reached;
several points are separated by commas. Without the variable nothing is armed and `hit` is a look
at a module constant. The points, in the order in which an order meets them:

    before_t1 after_t1       the commit that accepts an order
    before_t2 after_t2       the commit of SEND_BEGIN, often the same one as T1
    before_write             the last look before the first byte
    after_write              the request was handed to the socket
    before_read              the answer stands in memory, nothing of it is believed yet
    answered                 the adapter has said what the answer means, or raised
    before_t3 after_t3       the commit of the outcome

And away from orders:

    before_signing after_signing    the commit of a signed checkpoint of the audit log
    before_removal after_removal    the commit that removes its oldest rows

`before_` a commit is inside its transaction, with everything written but the COMMIT.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Final

from adapters.sdk.transport import hooks

VARIABLE: Final = "BROKERGATE_FAILPOINTS"
POINTS: Final = (
    "before_t1",
    "after_t1",
    "before_t2",
    "after_t2",
    "before_write",
    "after_write",
    "before_read",
    "answered",
    "before_t3",
    "after_t3",
)
ELSEWHERE: Final = ("before_signing", "after_signing", "before_removal", "after_removal")


def hit(name: str) -> None:
    """Die here if this place is armed and its turn has come."""
    if ARMED:
        _count_down(name)


def parse(text: str) -> dict[str, int]:
    """Read `name:n,name:n`; without a number the first time counts. Raises `ValueError`."""
    left: dict[str, int] = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        name, _, count = part.partition(":")
        if name not in POINTS + ELSEWHERE:
            known = ", ".join(POINTS + ELSEWHERE)
            raise ValueError(f"{VARIABLE}: {name!r} is no failpoint; there are {known}")
        if count and (not count.isdigit() or int(count) < 1):
            raise ValueError(f"{VARIABLE}: {part!r}: write {name}:1 or a higher number")
        left[name] = int(count or "1")
    return left


_left = parse(os.environ.get(VARIABLE, ""))
ARMED: Final = bool(_left)


def _count_down(name: str) -> None:
    if name not in _left:
        return
    _left[name] -= 1
    if _left[name] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _after_write() -> None:
    # uvloop writes at the end of its round; dying in this one would be dying before the write.
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, hit, "after_write")


if ARMED:
    hooks.after_write = _after_write
    hooks.before_read = lambda: hit("before_read")
