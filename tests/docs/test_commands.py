"""Every `brokergate` command, option and `just` recipe that a page names exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from gateway.cli.main import cli
from tests.docs.pages import ROOT, code, guides

# Not `sudo -u brokergate git ...`, where it is a user's name.
_CALL = re.compile(
    r"(?<!-u )(?<![\w./-])(?:\S*bin/)?brokergate( --?[a-z]+ \S+)* (?P<rest>[a-z_][^|;&#>]*)"
)


def calls() -> Iterator[tuple[str, str]]:
    for page in guides():
        for text in code(page):
            for call in _CALL.finditer(text):
                yield str(page.relative_to(ROOT)), call["rest"].strip()


def command_of(words: list[str]) -> tuple[list[str], click.Command]:
    """Follow the words as far as they name commands."""
    path: list[str] = []
    command: click.Command = cli
    while isinstance(command, click.Group):
        assert len(path) < len(words), f"{' '.join(path)} needs the name of a subcommand"
        name = words[len(path)]
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"there is no command {name}"
        command = found
        path.append(name)
    return path, command


def words_of(call: str) -> list[str]:
    try:
        return shlex.split(call)
    except ValueError:
        return call.split()


def test_pages_name_commands() -> None:
    assert {"init", "serve", "vault set", "login", "demo"} <= {
        " ".join(words_of(call)[: 2 if call.startswith("vault") else 1]) for _, call in calls()
    }


@pytest.mark.parametrize(("page", "call"), sorted(set(calls())))
def test_command_exists_and_has_these_options(page: str, call: str) -> None:
    words = words_of(call)
    path, command = command_of(words)

    assert 0 == CliRunner().invoke(cli, [*path, "--help"]).exit_code

    known = {"--help", *(opt for param in command.params for opt in param.opts)}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known, f"{page}: {' '.join(path)} has no {used - known}"


def test_just_recipes_exist() -> None:
    recipes = set(re.findall(r"^(\w+)(?: [^:]*)?:", (ROOT / "Justfile").read_text(), re.MULTILINE))
    named = {
        name
        for page in guides()
        for text in code(page)
        for name in re.findall(r"^just ([a-z]+)", text)
    }
    assert named <= recipes
