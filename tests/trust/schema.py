"""schemathesis against a running gateway, with a good key and with broken credentials.

    python -m tests.trust.schema [--seconds N] [--seed N]

The tool runs in an environment of its own, `.venvs/schemathesis`, by the gateway's own OpenAPI
document: whatever it sends, nothing may be answered with a 5xx, with a status that the document
does not list, or with an error that is no problem document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.gateway.rig import Rig

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".venvs" / "schemathesis" / "bin" / "schemathesis"
SET_UP = (
    "python -m venv .venvs/schemathesis && .venvs/schemathesis/bin/pip install"
    " --require-hashes -r tests/trust/schema-requirements.txt"
)
SECONDS = 60
SEED = 20261122
_HOOKS = Path(__file__).parent / "hooks"
# Streams do not end, and that is what their own tests are for.
_STREAMS = r"^/v1/(events|audit/stream)$"
_CHECKS = (
    "nothing_breaks,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,unsupported_method,"
    "error_is_a_problem,status_is_listed,broken_credentials_are_refused"
)


@dataclass
class Run:
    """`output` is what the tool said; `ok` that it found nothing."""

    credentials: str
    ok: bool
    cases: int
    statuses: dict[str, int]
    output: str


async def try_out(folder: Path, *, seconds: int, seed: int = SEED) -> list[Run]:
    """Run the tool twice, each time against a gateway with three brokers of its own."""
    runs = []
    for credentials, share in (("good", 0.75), ("broken", 0.25)):
        settings = {
            "groups": {"all": {"fyers-main": 1, "mstock-main": 1}},
            "server": {
                "rate_limits": {"requests_per_second": 100_000, "orders_per_second": 100_000}
            },
        }
        limits = {"limits": {"broker_windows": "ignore", "orders_per_second": 10}}
        async with Rig(folder / credentials, settings=settings, account_settings=limits) as rig:
            key = rig.key if credentials == "good" else "bg_live_wrong"
            runs.append(await _run(rig, key, credentials, max(int(seconds * share), 5), seed))
    return runs


async def _run(rig: Rig, key: str, credentials: str, seconds: int, seed: int) -> Run:
    phases = "examples,coverage,fuzzing" if credentials == "good" else "examples,fuzzing"
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        process = await asyncio.create_subprocess_exec(
            str(PROGRAM),
            "run",
            f"http://127.0.0.1:{rig.port}/openapi.json",
            *("--checks", _CHECKS),
            *("--phases", phases),
            *("--exclude-path-regex", _STREAMS),
            *("--max-examples", "10"),
            *("--max-time", str(seconds)),
            *("--request-timeout", "60"),
            *("--seed", str(seed)),
            *("--suppress-health-check", "all"),
            "--continue-on-failure",
            "--no-color",
            cwd=folder,
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": folder,
                "PYTHONPATH": str(_HOOKS),
                "SCHEMATHESIS_HOOKS": "checks",
                "TRUST_CREDENTIALS": credentials,
                "TRUST_KEY": key,
                "TRUST_COUNTS": str(counts),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(seconds + 180):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        statuses = json.loads(counts.read_text()) if counts.exists() else {}
    text = output.decode(errors="replace")
    found = re.search(r"^\s*(\d+) generated", text, re.MULTILINE)
    cases = int(found[1]) if found else 0
    return Run(credentials, process.returncode == 0, cases, dict(sorted(statuses.items())), text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.trust.schema")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    if not PROGRAM.exists():
        sys.stdout.write(f"skipped: schemathesis is not there; {SET_UP}\n")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        runs = asyncio.run(try_out(Path(folder), seconds=arguments.seconds, seed=arguments.seed))
    for run in runs:
        found = "nothing wrong" if run.ok else "see below"
        sys.stdout.write(f"requests with {run.credentials} credentials: {run.cases}, {found}\n")
        sys.stdout.write(f"  by status: {run.statuses}\n")
    sys.stdout.write("".join(run.output for run in runs if not run.ok))
    return 0 if all(run.ok and run.cases for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
