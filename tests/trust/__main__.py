"""Runs every part of the proof of trust that is here, and prints what was tried and caught.

    python -m tests.trust

A part is a module of this folder with a `main()` that prints its counts and returns 0 when
everything was caught.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tests.trust


def parts() -> list[str]:
    """The modules that are parts: those that are no tests and are made to be run."""
    names = (module.name for module in pkgutil.iter_modules(tests.trust.__path__))
    return sorted(name for name in names if not name.startswith(("test_", "conftest", "__")))


def main() -> int:
    failed = []
    for name in parts():
        module = importlib.import_module(f"tests.trust.{name}")
        if not hasattr(module, "main"):
            continue
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        sys.argv = [name]
        if module.main() != 0:
            failed.append(name)
    sys.stdout.write(f"failed: {', '.join(failed)}\n" if failed else "all caught\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
