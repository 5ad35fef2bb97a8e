"""Draw the console's pictures for the README, of a real `brokergate demo`:

    python -m tests.tui.screenshots

Writes `docs/images/console-*.svg`.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tui.conftest import Desk
from tui.app import Console
from tui.link import Gateway, Where

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
_SIZE = (100, 25)
# The fonts would be fetched from elsewhere by whoever looks at the picture.
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


async def draw(where: Where) -> None:
    """Walk through the console before a demo's gateway and keep what it shows."""
    gateway = Gateway(where)
    order = {
        "instrument": "NSE:SBIN",
        "side": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "quantity": 25,
        "price": "760.00",
        "accounts": ["@all"],
        "strategy": "momentum",
        "wait_for": "book",
    }
    await gateway.ask("POST", "/v1/orders", order, headers={"Idempotency-Key": "picture"})
    app = Console(where)
    async with app.run_test(size=_SIZE, notifications=True) as pilot:
        desk = Desk(app, pilot)
        await desk.sees("● connected", "● active", "✓ journal")
        await desk.until(lambda: not app.model.reading("figures").error, "the figures")
        _keep(app, "overview")
        await desk.keys("3")
        await desk.sees("@760.00", "✓ OPEN")
        await desk.keys("enter")
        await desk.sees("send_begin", "acked")
        _keep(app, "order")
        await desk.keys("escape", "exclamation_mark", "down", "enter")
        await desk.sees("KILL SWITCH ENGAGED", "cancels 3 of 3, done")
        _keep(app, "kill")


def _keep(app: Console, name: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    svg = _FONTS.sub("", app.export_screenshot(title="brokergate console", simplify=True))
    (IMAGES / f"console-{name}.svg").write_text(svg)


def main() -> None:
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        demo = subprocess.Popen(
            [sys.executable, "-P", "-m", "gateway.cli.main", "demo", "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environ,
        )
        try:
            assert demo.stdout is not None
            key = port = ""
            for line in demo.stdout:
                if line.startswith("API key: "):
                    key = line.split()[2]
                if found := re.search(r"Serving on http://127\.0\.0\.1:(\d+)", line):
                    port = found[1]
                    break
            asyncio.run(draw(Where(host="127.0.0.1", port=int(port), key=key)))
        finally:
            demo.terminate()
            demo.communicate(timeout=30)


if __name__ == "__main__":
    main()
