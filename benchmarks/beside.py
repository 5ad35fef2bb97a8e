"""Beside another commit in one run, in turns: `python -m benchmarks.beside REF`.

Figures of two days are also figures of two days' machines. Here both versions are measured one
after the other, pair by pair, each pair in the other order, and compared within the pair.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.command import say
from benchmarks.compare import compare, newest

ROOT = Path(__file__).resolve().parents[1]
# Per figure: name, unit, and (before, now) of each pair.
Pairs = dict[tuple[str, str], list[tuple[float, float]]]


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="beside-", dir=options.dir) as scratch:
        folder = Path(scratch)
        with _checkout(options.ref, folder / "before") as before:
            reports = [
                _pair(before, folder / f"pair-{number}", options, turned=number % 2 == 1)
                for number in range(options.pairs)
            ]
    print(as_table(options.ref, pairs_of(reports)))
    return 0


def pairs_of(reports: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Pairs:
    """Collect what both versions measured, pair by pair."""
    found: Pairs = {}
    for before, now in reports:
        for name, was, has, unit in compare(dict(before), dict(now)):
            found.setdefault((name, unit), []).append((was, has))
    return found


def as_table(ref: str, pairs: Pairs) -> str:
    """Show the medians of both, and the ratios of the pairs: median, least and most."""
    lines = [
        f"| figure | {ref} | now | now / {ref} | least to most |",
        "|---|---|---|---|---|",
    ]
    for (name, unit), measured in pairs.items():
        ratios = [now / before for before, now in measured if before]
        if not ratios:
            continue
        was, has = (statistics.median(column) for column in zip(*measured, strict=True))
        lines.append(
            f"| {name} | {was:.2f} {unit} | {has:.2f} {unit} | {statistics.median(ratios):.2f}"
            f" | {min(ratios):.2f} to {max(ratios):.2f} |"
        )
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.beside",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ref", help="the commit to compare with, as git names it")
    parser.add_argument("--pairs", type=int, default=3, help="how often both are measured [3]")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of each run [1]")
    parser.add_argument("--day-orders", type=int, default=2000, help="orders of the day [2000]")
    parser.add_argument("--dir", type=Path, help="where the data goes; must be a disk")
    parser.add_argument("--quick", action="store_true", help="seconds: shows that all of it works")
    return parser.parse_args()


@contextmanager
def _checkout(ref: str, folder: Path) -> Iterator[Path]:
    added = ["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(folder), ref]
    if subprocess.run(added, check=False).returncode:
        raise SystemExit(f"{ref} cannot be checked out: name a commit of this repository")
    try:
        yield folder
    finally:
        gone = ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(folder)]
        subprocess.run(gone, check=True)


def _pair(
    before: Path, out: Path, options: argparse.Namespace, *, turned: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    reports: dict[str, dict[str, Any]] = {}
    turns = [("before", before), ("now", ROOT)]
    for name, checkout in reversed(turns) if turned else turns:
        say(f"{out.name}: {name}")
        reports[name] = _run(checkout, out / name, options)
    return reports["before"], reports["now"]


def _run(checkout: Path, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    how = ["--quick"] if options.quick else []
    if not options.quick:
        how = ["--rounds", str(options.rounds), "--day-orders", str(options.day_orders)]
    if options.dir is not None:
        how += ["--dir", str(options.dir.resolve())]
    out.mkdir(parents=True)
    command = [sys.executable, "-m", "benchmarks", *how, "--out", str(out)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    report = newest(out)
    if report is None or done.returncode:
        raise SystemExit(f"the run of {checkout.name} failed:\n{done.stdout}\n{done.stderr}")
    return report


if __name__ == "__main__":
    sys.exit(main())
