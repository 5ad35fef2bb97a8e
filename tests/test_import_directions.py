"""Imports point one way (design section 2): `gateway -> adapters.sdk <- adapters.<broker>`.

The rules are read off the syntax tree, imports inside functions and for types included, and
proven once at run time. Each rule is also shown to catch what it is there for.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("adapters", "gateway", "tui")
NOT_BROKERS = {"sdk"}
# What a parser has no use for: it turns bytes into values.
DOES_IO = (
    "asyncio",
    "http",
    "httptools",
    "niquests",
    "requests",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "urllib.request",
    "urllib3",
    "uvloop",
    "adapters.sdk.transport",
    "adapters.sdk.simulator",
)
HTTP = ("blacksheep", "granian", "httptools", "niquests", "adapters.sdk.transport")


class Tree:
    """The modules of a source tree, each with the names it imports."""

    def __init__(self, root: Path) -> None:
        self.imports = {
            module_of(path.relative_to(root)): set(imported_names(path, root))
            for package in PACKAGES
            for path in sorted((root / package).rglob("*.py"))
        }
        # Importing a module runs its packages' __init__ too, but those defer what is heavy.
        self.packages = {
            module_of(path.relative_to(root))
            for package in PACKAGES
            for path in (root / package).rglob("__init__.py")
        }
        self.brokers = {
            module.split(".")[1]
            for module in self.imports
            if module.startswith("adapters.") and module.split(".")[1] not in NOT_BROKERS
        }

    def violations(self) -> list[str]:
        found = [
            f"{module} imports {name}: {rule}"
            for module, names in self.imports.items()
            for name in sorted(names)
            if (rule := self.broken_rule(module, name))
        ]
        for module in self.imports:
            if is_parser(module):
                found += [
                    f"{module} reaches {name}: parsers do no I/O"
                    for name in sorted(self.imports[module] | self.reached_from(module))
                    if within(name, *DOES_IO)
                ]
        registries = [module for module in self.imports if self.names_brokers(module)]
        if len(registries) > 1:
            found.append(f"{', '.join(registries)}: one registry lists the brokers")
        return found

    def broken_rule(self, module: str, name: str) -> str | None:
        broker = self.broker_of(module)
        other = self.broker_of(name)
        if within(module, "adapters"):
            if within(name, "gateway", "tui"):
                return "adapters know no gateway"
            if broker and other and broker != other:
                return "no broker knows another"
            if within(module, "adapters.sdk") and other:
                return "the kit knows no broker"
        if within(module, "gateway"):
            if within(name, "textual", "tui"):
                return "the gateway never loads the console"
            if within(module, "gateway.orchestrator") and other:
                return "the orchestrator knows no broker"
            if within(module, "gateway.client") and within(name, "gateway", "adapters"):
                if not within(name, "gateway.client"):
                    return "the client knows no service"
            elif within(name, "gateway.client"):
                return "the service uses no client of its own"
            if within(module, "gateway.store") and within(name, *HTTP, "gateway.api"):
                return "the store knows no HTTP"
        if within(module, "tui") and within(name, "gateway", "adapters"):
            return "the console talks HTTP"
        if within(name, "apsw", "sqlite3") and not within(module, "gateway.store"):
            return "only the store touches SQLite"
        if within(name, "pydantic", "pydantic_settings") and not within(module, "gateway.config"):
            return "only the configuration pays for pydantic"
        return None

    def broker_of(self, name: str) -> str | None:
        parts = name.split(".")
        known = len(parts) > 1 and parts[0] == "adapters" and parts[1] in self.brokers
        return parts[1] if known else None

    def names_brokers(self, module: str) -> bool:
        return within(module, "gateway") and any(map(self.broker_of, self.imports[module]))

    def reached_from(self, module: str) -> set[str]:
        """Follow imports from module to module within the adapters."""
        reached: set[str] = set()
        waiting = [module]
        while waiting:
            for name in self.imports.get(waiting.pop(), ()):
                if name not in reached | self.packages:
                    reached.add(name)
                    waiting.append(name)
        return reached


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def is_parser(module: str) -> bool:
    parts = module.split(".")
    return parts[0] == "adapters" and (parts[-1] == "parse" or parts[-1].startswith("parse_"))


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path, root: Path) -> Iterator[str]:
    """Yield every module that `path` may import; `from a import b` counts as a and a.b."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and named_import(node.func):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def named_import(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")


def test_imports_point_one_way() -> None:
    assert Tree(ROOT).violations() == []


def test_the_tree_that_was_looked_at_is_this_one() -> None:
    tree = Tree(ROOT)
    assert {"fyers", "hdfc", "mstock"} <= tree.brokers
    assert "apsw" in set().union(*tree.imports.values())
    assert any(is_parser(module) for module in tree.imports)


@pytest.mark.parametrize(
    ("file", "line", "rule"),
    [
        ("adapters/fyers/client.py", "import gateway.store", "adapters know no gateway"),
        ("adapters/fyers/client.py", "from tui import app", "adapters know no gateway"),
        ("adapters/sdk/models.py", "from gateway import orders", "adapters know no gateway"),
        ("adapters/fyers/client.py", "from adapters.hdfc import parse", "knows another"),
        ("adapters/fyers/client.py", "from adapters import hdfc", "knows another"),
        ("adapters/fyers/client.py", "from ..hdfc import parse", "knows another"),
        ("adapters/fyers/client.py", "def f():\n    import adapters.hdfc", "knows another"),
        ("adapters/sdk/interface.py", "from adapters.hdfc import PLUGIN", "kit knows no broker"),
        ("adapters/sdk/interface.py", "from .. import hdfc", "kit knows no broker"),
        ("gateway/cli/console.py", "import textual.app", "never loads the console"),
        ("gateway/cli/console.py", "import_module('tui.app')", "never loads the console"),
        ("gateway/orchestrator/legs.py", "import adapters.hdfc", "orchestrator knows no broker"),
        ("gateway/store/reader.py", "import blacksheep", "store knows no HTTP"),
        ("gateway/store/reader.py", "from gateway.api import app", "store knows no HTTP"),
        ("gateway/client/sync.py", "from gateway.orders import states", "client knows no service"),
        ("gateway/client/sync.py", "import adapters.sdk.models", "client knows no service"),
        ("gateway/api/routes.py", "from gateway.client import Client", "no client of its own"),
        ("tui/app.py", "from gateway.orders import states", "console talks HTTP"),
        ("tui/app.py", "from adapters.sdk.models import Side", "console talks HTTP"),
        ("gateway/api/routes.py", "import apsw", "only the store touches SQLite"),
        ("adapters/fyers/master.py", "import sqlite3", "only the store touches SQLite"),
        ("gateway/api/routes.py", "from pydantic import BaseModel", "pays for pydantic"),
        ("adapters/fyers/parse.py", "import asyncio", "parsers do no I/O"),
        ("adapters/fyers/parse.py", "from urllib import request", "parsers do no I/O"),
        ("adapters/fyers/parse.py", "from adapters.sdk import transport", "parsers do no I/O"),
        ("adapters/fyers/parse.py", "from adapters.fyers import wire", "parsers do no I/O"),
        ("adapters/fyers/parse_login.py", "import socket", "parsers do no I/O"),
        ("gateway/api/second.py", "import adapters.fyers", "one registry lists the brokers"),
    ],
)
def test_each_rule_catches_its_violation(file: str, line: str, rule: str, tmp_path: Path) -> None:
    allowed = {
        "adapters/__init__.py": "",
        "adapters/sdk/transport/http.py": "import asyncio, socket",
        "adapters/sdk/models.py": "import msgspec",
        "adapters/sdk/interface.py": "from adapters.sdk.models import Side",
        "adapters/fyers/wire.py": "from adapters.sdk.transport.http import Client",
        "adapters/fyers/parse.py": "from adapters.sdk.models import Side",
        "adapters/fyers/client.py": "from adapters.fyers import parse, wire",
        "adapters/hdfc/__init__.py": "",
        "gateway/api/registry.py": "import adapters.fyers, adapters.hdfc",
        "gateway/orchestrator/legs.py": "from adapters.sdk import models",
        "gateway/store/reader.py": "import apsw",
        "gateway/config/settings.py": "import pydantic",
        "tui/app.py": "import textual",
        "gateway/client/sync.py": "from gateway.client import calls",
    }
    for name, text in allowed.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert Tree(tmp_path).violations() == []
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as added:
        added.write("\n" + line)
    assert any(rule in found for found in Tree(tmp_path).violations())


def loaded_with(package: str) -> set[str]:
    """Import every module of a package in a fresh process; return all that this loaded."""
    modules = [name for name in Tree(ROOT).imports if within(name, package)]
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    if not name.endswith('__main__'): importlib.import_module(name)\n"
        "print(*sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.split())


def test_the_whole_gateway_loads_no_console() -> None:
    loaded = loaded_with("gateway")
    assert "gateway.config.loader" in loaded
    assert {name for name in loaded if within(name, "textual", "tui")} == set()


def test_the_adapters_load_no_gateway() -> None:
    loaded = loaded_with("adapters")
    assert "adapters.sdk.models" in loaded
    assert {name for name in loaded if within(name, "gateway", "tui", "apsw")} == set()
