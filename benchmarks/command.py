"""What the benchmarks' commands have in common: options, words on the way, files at the end."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path

import msgspec

from benchmarks.machine import is_on_disk

RESULTS = Path(__file__).resolve().parent / "results"


def parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Make a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=doc)
    made.add_argument("--quick", action="store_true", help="seconds: shows that all of it works")
    made.add_argument("--dir", type=Path, help="where the data goes; must be a disk")
    made.add_argument("--out", type=Path, help="where results go [benchmarks/results]")
    return made


def is_fit(scratch: Path, options: argparse.Namespace) -> bool:
    """Whether commits cost there what they cost on a disk; says so if not."""
    fit: bool = options.quick or is_on_disk(scratch)
    if not fit:
        print(f"{scratch} is in memory: name a folder on a disk with --dir", file=sys.stderr)
    return fit


def now() -> str:
    return f"{datetime.now().astimezone():%Y-%m-%d %H:%M %z}"


def say(words: str) -> None:
    print(f"{datetime.now().astimezone():%H:%M:%S}  {words}", file=sys.stderr, flush=True)


def keep(report: object, text: str, name: str, options: argparse.Namespace) -> Path | None:
    """Print a report and write it as JSON and Markdown; return where the plot goes.

    None for a quick run without a folder of its own, which leaves no files.
    """
    print(f"\n{text}")
    folder = options.out or (None if options.quick else RESULTS)
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"written: {path.with_suffix('')}.json, .md, .svg")
    return path.with_suffix(".svg")
