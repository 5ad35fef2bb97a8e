"""What pages show in Python does what they say, run against a demo."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.client import Client
from tests.docs.conftest import Demo
from tests.docs.pages import DOCS, ROOT, blocks

CLIENT = DOCS / "client.md"


def python_of(page: Path, demo: Demo) -> list[str]:
    return [
        block.text.replace("http://127.0.0.1:8080", demo.gate).replace("bg_live_...", demo.key)
        for block in blocks(page)
        if block.language == "python"
    ]


@pytest.mark.parametrize("page", [ROOT / "README.md", CLIENT], ids=lambda page: page.name)
def test_first_block_places_an_order(page: Path, demo: Demo) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(python_of(page, demo)[0], str(page), "exec"), {})

    assert "fyers-main" in printed.getvalue()
    assert "mend" not in printed.getvalue()


def test_client_page_reads_positions_and_hears_events(demo: Demo) -> None:
    _, positions, events = python_of(CLIENT, demo)
    with Client(demo.gate, demo.key) as client:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(positions, str(CLIENT), "exec"), {"client": client})
        assert 3 == printed.getvalue().count("-main")

    begun = f"from gateway.client import Client\nclient = Client({demo.gate!r}, {demo.key!r})\n"
    listening = subprocess.Popen(
        [sys.executable, "-u", "-c", begun + events.replace("after=None", "after=0")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert listening.stdout is not None
        assert "READY" in listening.stdout.readline()
    finally:
        listening.kill()
        listening.communicate()


def test_calls_named_on_the_client_page_exist() -> None:
    text = CLIENT.read_text().partition("## Calls\n")[2].partition("Reads over")[0]
    named = {word.strip("`.,·") for word in text.split() if word.startswith("`")}
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public - {"from_environment", "close"} == named
