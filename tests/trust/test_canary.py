"""No secret is found where it has no business, and the search finds one that is put there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.trust.canary import ROOT, Found, Stage, canary, spellings


async def test_no_secret_is_left_anywhere(tmp_path):
    found = await Stage(tmp_path).run()

    assert [] == found.leaks
    assert 6 == found.logins
    assert len(found.secrets) > 20
    expected = {"answers", "data directory", "log", "metrics", "process list", "webhooks"}
    assert expected | {"write-ahead log"} <= found.places.keys()


@pytest.mark.parametrize("spelling", sorted(spellings("canary-a/b+c d")))
def test_the_search_finds_a_secret_in_every_spelling(spelling):
    found = Found(secrets={"one": "canary-a/b+c d", "other": canary("other")})

    found.look("a log", b"before " + spelling + b" after")

    assert ["one in a log"] == found.leaks


def test_the_process_leaves_no_core_dump_and_lets_nobody_attach(tmp_path):
    program = (
        "import ctypes, os, resource, sys\n"
        "from gateway.hardening import keep_to_itself\n"
        "keep_to_itself()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))\n"
        "sys.stdout.flush()\n"
        "os.abort()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "0 0 0" == done.stdout.strip()
    assert done.returncode < 0
    assert [] == list(tmp_path.iterdir())
