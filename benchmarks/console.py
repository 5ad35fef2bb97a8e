"""What the operator console costs: `python -m benchmarks.console [--rows 1000000]`.

A gateway runs in this process with three practice accounts; the console is the real program in a
terminal of its own (80x24), over TCP on loopback with an API key. Budgets: first paint in 0.5 s,
80 MB, 1 % of a core when idle, an audit log that is followed at 1,000 rows a second and scrolled
with a million rows.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from gateway.api.server import ApiServer, Listen
from gateway.brokers import load_plugins
from gateway.cli.ports import free_port
from gateway.cli.program import console_command
from gateway.config import Settings
from gateway.runtime import Gateway
from gateway.secrets.master_key import generate_master_key
from gateway.secrets.sealing import Keyring

ROOT = Path(__file__).resolve().parents[1]
_HOST = "127.0.0.1"
_STARTS = 9
_IDLE_S = 20.0
_TAIL_S = 15.0
_RATE = 1000
_BATCH = 5000
_GIVE_UP_S = 60.0
_SEQ = re.compile(r"^\s*(\d+) \d\d:\d\d:\d\d", re.MULTILINE)


def cpu_s(pid: int) -> float:
    """Seconds of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Console:
    """The console in a tmux of its own, for what has to be read off the screen."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux.sock"), "-f", "/dev/null"]
        line = " ".join(["exec", *command])
        self._run("-u", "new-session", "-d", "-x", "80", "-y", "24", line)
        self.pid = int(self._run("list-panes", "-F", "#{pane_pid}"))

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], capture_output=True, text=True, check=True, env=_environ()
        )
        return done.stdout.strip("\n")

    def keys(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    @property
    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    @property
    def rows(self) -> list[int]:
        """The numbers of the audit rows on the screen."""
        return [int(found) for found in _SEQ.findall(self.screen)]

    async def until(self, holds: Callable[[], bool], what: str) -> float:
        """Wait until something is so; returns the seconds it took."""
        begun = time.monotonic()
        while not await asyncio.to_thread(holds):
            if time.monotonic() - begun > _GIVE_UP_S:
                raise TimeoutError(f"never came: {what}\n{self.screen}")
            await asyncio.sleep(0.01)
        return time.monotonic() - begun

    def cpu_s(self) -> float:
        return cpu_s(self.pid)

    def megabytes(self) -> float:
        """What it holds for itself, with its part of what it shares."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Gateway, list[str]]]:
    """Run a gateway; yields it and the command of a console for it."""
    accounts = [{"id": f"paper-{n}", "broker": "paper"} for n in range(1, 4)]
    settings = Settings(data_dir=folder / "data", accounts=accounts)
    keyring = Keyring(generate_master_key("the console's benchmark"))
    gateway = Gateway(settings, load_plugins(), keyring)
    await gateway.start()
    port = free_port(_HOST)
    server = ApiServer(gateway.app(), Listen(_HOST, port), settings.data_dir)
    ready = asyncio.Event()
    running = asyncio.create_task(server.run(ready))
    await ready.wait()
    minted = await gateway.keys.create("console", ["admin"], None, None, {"client": "benchmark"})
    key_file = folder / "console.key"
    key_file.write_text(minted.text)
    where = ["--host", _HOST, "--port", str(port), "--key-file", str(key_file)]
    try:
        yield gateway, [*console_command(), *where]
    finally:
        gateway.feed.close()
        server.stop()
        await running
        await gateway.stop()


class Start(NamedTuple):
    """Seconds from the start of the process. `cpu`: the processor's until the first screen."""

    first: float
    cpu: float
    whole: float


def paint(command: list[str]) -> Start:
    """Start a console and wait until its first screen, and until it shows the accounts."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    begun = time.monotonic()
    process = subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, env=_environ(), start_new_session=True
    )
    os.close(inside)
    shown, first, cpu = b"", 0.0, 0.0
    try:
        while b"paper-3" not in shown:
            if not select.select([terminal], [], [], _GIVE_UP_S)[0]:
                raise TimeoutError(f"it shows {shown[-2000:]!r}")
            shown += os.read(terminal, 65536)
            if not first and b"Kill switch" in shown:
                first, cpu = time.monotonic() - begun, cpu_s(process.pid)
        return Start(first, cpu, time.monotonic() - begun)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(terminal)


async def measure(rows: int, say: Callable[[str], None]) -> None:
    """Measure everything and say it line by line."""
    with tempfile.TemporaryDirectory(prefix="bench-console-") as scratch:
        folder = Path(scratch)
        async with serving(folder) as (gateway, command):
            starts = [await asyncio.to_thread(paint, command) for _ in range(_STARTS)]
            for name, words in (
                ("first", "first paint"),
                ("cpu", "processor time until then"),
                ("whole", "accounts shown"),
            ):
                took = [round(getattr(start, name) * 1000) for start in starts]
                say(f"{words}: median {statistics.median(took):.0f} ms of {took}")
            if rows == 0:
                return
            console = await asyncio.to_thread(Console, command, folder)
            try:
                await console.until(lambda: "paper-3" in console.screen, "the accounts")
                await _idle(console, say)
                await _views(console, say)
                await _tail(console, gateway, say)
                await _million(console, gateway, rows, say)
            finally:
                console.close()


async def _idle(console: Console, say: Callable[[str], None]) -> None:
    await asyncio.sleep(3)
    before = console.cpu_s()
    await asyncio.sleep(_IDLE_S)
    share = (console.cpu_s() - before) / _IDLE_S
    say(f"idle on the overview: {share:.2%} of a core, {console.megabytes():.1f} MB")


async def _views(console: Console, say: Callable[[str], None]) -> None:
    for key, label in enumerate(("Unresolved", "Orders", "Portfolio", "Guards"), 2):
        name = {4: 5, 5: 6}.get(key, key)
        console.keys(str(name))
        await console.until(lambda label=label: f"{label}]" in console.screen, label)  # type: ignore[misc]
    await asyncio.sleep(1)
    say(f"after the other views: {console.megabytes():.1f} MB")


async def _tail(console: Console, gateway: Gateway, say: Callable[[str], None]) -> None:
    """Follow a log that grows by `_RATE` rows a second; how far behind is the screen?"""
    console.keys("4")
    await console.until(lambda: bool(console.rows), "the audit log")
    before, begun, written = console.cpu_s(), time.monotonic(), 0
    behind: list[int] = []
    looked = begun
    while (now := time.monotonic()) - begun < _TAIL_S:
        due = int((now - begun) * _RATE) - written
        for number in range(due):
            head = gateway.store.audit("note", {"number": written + number, "text": "as many"})
        if due:
            newest = await head
            written += due
        if now - looked > 0.5 and written:
            looked = now
            rows = await asyncio.to_thread(lambda: console.rows)
            behind.append(newest - max(rows, default=0))
        await asyncio.sleep(0.02)
    share = (console.cpu_s() - before) / (time.monotonic() - begun)
    caught_up = await console.until(lambda: max(console.rows, default=0) == newest, "the end")
    say(
        f"audit tail at {written / _TAIL_S:.0f} rows/s: screen behind by at most {max(behind)}"
        f" rows, median {statistics.median(behind):.0f}; {caught_up:.2f} s to the end;"
        f" {share:.0%} of a core"
    )


async def _million(
    console: Console, gateway: Gateway, rows: int, say: Callable[[str], None]
) -> None:
    """Scroll a long log: to its ends, into its middle, page by page."""
    console.keys("1")
    begun, head = time.monotonic(), await gateway.store.last_audit_seq()
    while head < rows:
        for number in range(min(_BATCH, rows - head)):
            written = gateway.store.audit("note", {"number": number, "text": "one of a million"})
        head = await written
    say(f"({head:,} rows written in {time.monotonic() - begun:.0f} s)")
    console.keys("4")
    took = await console.until(lambda: max(console.rows, default=0) == head, "the newest row")
    say(f"log of {head:,}: opened at its end in {took:.2f} s")
    console.keys("g")
    took = await console.until(lambda: min(console.rows, default=0) == 1, "the first row")
    say(f"log of {head:,}: at its first row in {took:.2f} s")
    console.keys("/")
    await asyncio.sleep(0.3)
    console.keys("-l", f"row={head // 2}")
    console.keys("Enter")
    took = await console.until(lambda: head // 2 in console.rows, "the middle")
    say(f"log of {head:,}: in its middle in {took:.2f} s")
    pages, at, begun = 0, head // 2, time.monotonic()
    while pages < 200:
        console.keys(*["PageUp"] * 10)
        pages += 10
        wanted = at - pages * 12
        await console.until(lambda wanted=wanted: min(console.rows) < wanted, "earlier rows")  # type: ignore[misc]
    say(f"200 pages up: {(time.monotonic() - begun) / 200 * 1000:.0f} ms a page")
    console.keys("G")
    took = await console.until(lambda: max(console.rows, default=0) >= head, "the newest row")
    say(f"log of {head:,}: followed again in {took:.2f} s; {console.megabytes():.1f} MB")


def _environ() -> dict[str, str]:
    named = {
        name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ
    }
    return {**named, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts-only", action="store_true", help="only the time to first paint")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the long audit log")
    options = parser.parse_args()
    if shutil.which("tmux") is None:
        print("tmux is needed: the console runs in it", file=sys.stderr)
        return 2
    rows = 0 if options.starts_only else options.rows
    asyncio.run(measure(rows, lambda words: print(words, flush=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
