"""Make what a release consists of, in `dist/`.

    python3 packaging/release.py [--dry-run] [--out FOLDER]

It builds the program (`packaging/build.py`) and the wheel, and writes beside them:

    brokergate-VERSION.cdx.json     what is inside, as a CycloneDX 1.6 document (SBOM)
    brokergate-VERSION-licences.md  the licences of all of it, with their texts
    SHA256SUMS                      of every file

It stops where the working tree has changes, CHANGELOG.md says nothing of the version, or a package
inside has a licence that was not looked at. `--dry-run` builds nothing and demands no clean tree:
it describes the last build, or where there is none what would be packed, into `--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path

import build
import dev

PROJECT = tomllib.loads((dev.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORK = build.WORK / "brokergate"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="build nothing, check no tree")
    parser.add_argument("--out", type=Path, default=build.DIST, help="where to (dist/)")
    chosen = parser.parse_args(arguments)
    try:
        release(chosen.out.absolute(), dry_run=chosen.dry_run)
    except dev.SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def release(out: Path, *, dry_run: bool) -> None:
    version = PROJECT["version"]
    problems = [] if dry_run else unready(version)
    if problems:
        raise dev.SetupError("Not released: " + "; ".join(problems))
    out.mkdir(parents=True, exist_ok=True)
    if not dry_run:
        build.build(only_folder=False)
        collect(build.DIST, out, version)
        wheel(out)
    described = describe(out, version, environment(dry_run=dry_run))
    for path in described:
        dev.say(f"{path.stat().st_size / 1e3:9.1f} kB  {path.name}")
    sums = out / "SHA256SUMS"
    named = sorted(path for path in out.glob(f"brokergate-{version}*") if path.is_file())
    sums.write_text("".join(f"{dev.digest_of(path)}  {path.name}\n" for path in named))
    dev.say(f"{len(named)} files in {sums}")


def collect(built: Path, out: Path, version: str) -> None:
    """Put the program's files where the release is wanted, in place of those of an earlier run."""
    if built.resolve() == out.resolve():
        return
    for path in built.glob(f"brokergate-{version}-linux-{platform.machine()}*"):
        shutil.copy2(path, out / path.name)


def unready(version: str) -> list[str]:
    """Say what is against a release of this tree."""
    problems = []
    if _git("status", "--porcelain"):
        problems.append("the working tree has changes that are not committed")
    if f"## {version}" not in (dev.ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        problems.append(f"CHANGELOG.md has no section of {version}")
    tags = _git("tag", "--points-at", "HEAD").split()
    if f"v{version}" not in tags:
        problems.append(f"this commit has no tag v{version}")
    return problems


def environment(*, dry_run: bool) -> str:
    """Return the Python whose packages were packed; in a dry run without a build, the project's."""
    built = dev.ROOT / ".venvs" / "build" / "bin" / "python"
    ours = dev.ROOT / ".venv" / "bin" / "python"
    if built.is_file() or not dry_run:
        return str(built)
    return str(ours) if ours.is_file() else sys.executable


def describe(out: Path, version: str, python: str) -> list[Path]:
    """Write the SBOM and the licences, with the Python that has the packages."""
    if python != sys.executable:
        code = "import release, sys; release.write(release.Path(sys.argv[1]), sys.argv[2])"
        path = str(dev.ROOT / "packaging")
        done = subprocess.run(
            [python, "-c", code, str(out), version],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise dev.SetupError(done.stderr.strip().rpartition("SetupError: ")[2])
        return [out / line for line in done.stdout.split()]
    return write(out, version, quiet=True)


def write(out: Path, version: str, *, quiet: bool = False) -> list[Path]:
    import release_documents
    import release_parts

    site = Path(sysconfig.get_paths()["purelib"])
    try:
        parts = release_parts.parts_of(site, WORK, PROJECT["dependencies"])
    except release_parts.NotInstalled as error:
        raise dev.SetupError(
            f"{error} is not installed in {site}: run `just demo` first"
        ) from error
    unknown = [f"{p.name} ({p.licence})" for p in parts if not p.is_accepted]
    if unknown:
        raise dev.SetupError("licences to look at first: " + ", ".join(unknown))
    when = datetime.fromtimestamp(build.commit_time(), UTC)
    document = release_documents.sbom(PROJECT, parts, when)
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    document["serialNumber"] = f"urn:uuid:{serial}"
    written = [
        (out / f"brokergate-{version}.cdx.json", json.dumps(document, indent=1) + "\n"),
        (out / f"brokergate-{version}-licences.md", release_documents.licences(PROJECT, parts)),
    ]
    for path, text in written:
        path.write_text(text, encoding="utf-8")
        if not quiet:
            print(path.name)
    return [path for path, _ in written]


def wheel(out: Path) -> None:
    """Make the wheel with the pinned tools, as an upgrade of an installation from source."""
    project = dev.project_environment(for_development=False)
    command = [project.program("python"), "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(out), str(dev.ROOT)]
    dev.say("Making the wheel")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise dev.SetupError(done.stderr.strip())


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(dev.ROOT), *words], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
