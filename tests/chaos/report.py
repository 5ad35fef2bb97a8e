"""The report of a run: what was run on, what came of it, in figures that can be repeated."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from datetime import datetime
from pathlib import Path

import msgspec

from gateway.orders.times import IST
from gateway.version import program_version
from tests.chaos.plan import Outcome, Plan

ROOT = Path(__file__).parents[2]


def write_report(folder: Path, plan: Plan, outcome: Outcome) -> Path:
    """Write `chaos-ORDERSxKILLS-seedN.md` and its JSON into `folder`; returns the text's path."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"chaos-{plan.orders}x{plan.kills}-seed{plan.seed}"
    data = {"plan": plan, "score": outcome.score, "violations": outcome.violations}
    (folder / f"{name}.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n"
    )
    path = folder / f"{name}.md"
    path.write_text(_text(plan, outcome))
    return path


def _text(plan: Plan, outcome: Outcome) -> str:
    score = outcome.score
    lines = [
        f"# Chaos run: {plan.orders} orders meant, {plan.kills} kills, seed {plan.seed}",
        "",
        score.line(),
        "",
        f"`just chaos --orders {plan.orders} --kills {plan.kills} --seed {plan.seed}`"
        f" on {datetime.now(IST):%d %b %Y}, {outcome.took_s:.0f} s,"
        f" brokergate {program_version()} at {_commit()},"
        f" Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.machine()},"
        f" SQLite {sqlite3.sqlite_version} (Python's; the journal has its own).",
        f"The gateway's waits are divided by {plan.scale:g}; its rules are not touched.",
        "",
        "| | accounts whose broker echoes the tag | the others |",
        "|---|---|---|",
        f"| transient faults and kills recovered | {score.recovered['echo']}"
        f" | {score.recovered['no echo']} |",
        f"| accepted, where the broker would have taken it | {score.succeeded['echo']}"
        f" | {score.succeeded['no echo']} |",
        "",
        *_table("Where legs ended", score.states),
        *_table("Kills, by where", score.kills_by_point),
        *_table("Faults", score.faults_by_action),
    ]
    if outcome.violations:
        lines += ["## Broken invariants", ""]
        lines += [f"- `{found.invariant}`: {found.what}" for found in outcome.violations]
    return "\n".join(lines).rstrip() + "\n"


def _table(title: str, counts: dict[str, int]) -> list[str]:
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"## {title}", "", "| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows), ""]


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "an unknown commit"
