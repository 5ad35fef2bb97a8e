"""What holds for the project as a whole: nothing of one machine in it, pins, one version."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME, DEVELOPMENT = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"

# Put together here, so that this file does not hold what it looks for.
REGISTRIES = ["pypi" + ".org", "python" + "hosted.org", "npmjs" + ".org", "npmjs" + ".com"]
LOCAL_PATHS = re.compile("|".join(["/wor" + "k/", "/roo" + "t/", "/hom" + r"e/\w", "/User" + "s/"]))


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> dict[str, str]:
    found = {}
    for path in tracked_files():
        try:
            found[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def pins_of(path: Path) -> dict[str, tuple[str, int]]:
    """Return name to version and number of hashes; any line of another form is an error."""
    pins: dict[str, tuple[str, int]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if pin := re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9a-z.]*) \\", line):
            name = pin[1]
            assert name not in pins
            pins[name] = (pin[2], 0)
        else:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
            version, hashes = pins[name]
            pins[name] = (version, hashes + 1)
    return pins


def test_no_registry_is_named_in_any_file() -> None:
    found = [(name, host) for name, text in texts().items() for host in REGISTRIES if host in text]
    assert found == []


def test_no_path_of_anyones_machine_is_in_any_file() -> None:
    found = [(name, hit[0]) for name, text in texts().items() if (hit := LOCAL_PATHS.search(text))]
    assert found == []


def test_readme_has_exactly_two_commands_for_all_set_up() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = {f"python3 packaging/dev.py {word}" for word in re.findall(r"dev\.py (\w+)", readme)}
    assert commands == {"python3 packaging/dev.py demo", "python3 packaging/dev.py test"}
    assert all(command in readme for command in commands)


def test_requirements_are_pinned_by_hash_and_name_no_host() -> None:
    for path in (RUNTIME, DEVELOPMENT):
        pins = pins_of(path)
        assert len(pins) > 20
        assert all(hashes for _, hashes in pins.values())


def test_what_the_project_asks_for_is_what_is_pinned() -> None:
    extras = PROJECT["optional-dependencies"]
    for path, wanted in (
        (RUNTIME, PROJECT["dependencies"] + extras["build"]),
        (DEVELOPMENT, PROJECT["dependencies"] + extras["build"] + extras["dev"]),
    ):
        pins = pins_of(path)
        for text in wanted:
            requirement = Requirement(text)
            version, _ = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), text


def test_development_pins_are_the_runtime_pins_and_more() -> None:
    assert pins_of(RUNTIME).items() <= pins_of(DEVELOPMENT).items()


def test_the_version_stands_in_one_place() -> None:
    quoted = re.compile(rf"""["']{re.escape(PROJECT["version"])}["']""")
    holders = [
        name
        for name, text in texts().items()
        if name.endswith((".py", ".toml", ".spec", ".service", ".yml")) and quoted.search(text)
    ]
    assert holders == ["pyproject.toml"]


def test_the_licence_is_the_one_named() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_set_up_needs_nothing_but_pythons_own_library() -> None:
    source = (ROOT / "packaging" / "dev.py").read_text()
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= sys.stdlib_module_names


def test_set_up_can_be_read_by_an_old_python_to_say_that_it_is_too_old() -> None:
    ast.parse((ROOT / "packaging" / "dev.py").read_text(), feature_version=(3, 8))


def test_ci_runs_the_readmes_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "python3 packaging/dev.py test\n" in script.read_text()
