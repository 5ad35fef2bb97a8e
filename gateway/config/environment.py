"""Settings from the environment: `BROKERGATE_SERVER__PORT=9000`, lists and maps as JSON."""

from __future__ import annotations

import os
from typing import Any

from gateway.config.mistakes import Mistake, Path
from gateway.config.settings import Settings

PREFIX = "BROKERGATE_"
SEPARATOR = "__"


class Environment:
    """The settings that the environment holds: `tree`, and what was wrong with them.

    `unreadable` names the top-level settings that could not be read at all.
    """

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = _unknown_variables()
        self.tree: dict[str, Any] = {}
        self.unreadable: set[str] = set()
        if not any(_setting_of(variable) in Settings.model_fields for variable in os.environ):
            return
        # The reader takes longer to load than most starts need for all their settings.
        from gateway.config.variables import Unreadable, read

        for name in Settings.model_fields:
            # One at a time, so that one unreadable variable does not hide the next.
            try:
                self.tree |= read(name)
            except Unreadable:
                # Neither the value nor the parser's words about it are shown: it may be a secret
                # that ended up in the wrong variable.
                variable = PREFIX + name.upper()
                self.unreadable.add(name)
                fix = "Lists and maps are written as JSON, with double quotes"
                self.mistakes.append(Mistake(f"environment {variable}", "", "is not JSON", fix))

    def source(self, path: Path) -> str | None:
        """Name the variable that a setting came from, or None when it came from elsewhere."""
        if not _holds(self.tree, path):
            return None
        present = {name.upper(): name for name in os.environ}
        for length in range(len(path), 0, -1):
            variable = PREFIX + SEPARATOR.join(str(part) for part in path[:length]).upper()
            if variable in present:
                return f"environment {present[variable]}"
        return "environment"


def _unknown_variables() -> list[Mistake]:
    """Find misspelt settings. A single word that is like no setting may be somebody else's."""
    import difflib

    known = list(Settings.model_fields)
    mistakes = []
    for variable in sorted(os.environ):
        top = _setting_of(variable)
        if top is None or top in known:
            continue
        nested = SEPARATOR in variable[len(PREFIX) :]
        close = difflib.get_close_matches(top, known, n=1, cutoff=0.8)
        if nested or close:
            meant = f"Did you mean {PREFIX}{close[0].upper()}" if close else "Remove it"
            fix = f"{meant}; the settings are {', '.join(known)}"
            mistakes.append(Mistake(f"environment {variable}", "", "no such setting", fix))
    return mistakes


def _setting_of(variable: str) -> str | None:
    """Which top-level setting a variable would be, or be part of; None for others' variables."""
    if not variable.upper().startswith(PREFIX):
        return None
    return variable[len(PREFIX) :].lower().partition(SEPARATOR)[0]


def _holds(tree: Any, path: Path) -> bool:
    for part in path:
        present = part in tree if isinstance(tree, dict) else isinstance(tree, list)
        if not present:
            return False
        tree = tree[part]
    return True
