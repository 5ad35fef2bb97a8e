"""Settings from the environment: `BROKERGATE_SERVER__PORT=9000`, lists and maps as JSON."""

from __future__ import annotations

import difflib
import json
import os
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from gateway.config.mistakes import Mistake, Path
from gateway.config.settings import Settings

PREFIX = "BROKERGATE_"
SEPARATOR = "__"
_RISK = "risk"


class Environment:
    """The settings that the environment holds: `tree`, and what was wrong with them.

    `unreadable` names the top-level settings that could not be read at all.
    """

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = _unknown_variables()
        self.tree: dict[str, Any] = {}
        self.unreadable: set[str] = set()
        for name in _Variables.model_fields:
            # One at a time, so that one unreadable variable does not hide the next.
            try:
                self.tree |= _Source(_Variables).read(name)
            except (SettingsError, ValueError):
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


class _Variables(Settings, BaseSettings):
    """The settings once more, only for their reader; the values are validated elsewhere."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=SEPARATOR, env_ignore_empty=True, extra="forbid"
    )


class _Source(EnvSettingsSource):
    def read(self, name: str) -> dict[str, Any]:
        field = _Variables.model_fields[name]
        value, key, is_complex = self.get_field_value(field, name)
        if name == _RISK:
            # No model of pydantic's, so its variables are put together here.
            value = self._section(name, value)
        else:
            value = self.prepare_field_value(name, field, value, is_complex)
        return {} if value is None else {key: value}

    def _section(self, name: str, whole: str | None) -> Any:
        """Read a section from its own variable, and from those of the settings in it."""
        above = f"{PREFIX}{name}{SEPARATOR}".upper()
        parts = {
            variable[len(above) :]: text
            for variable, text in os.environ.items()
            if variable.upper().startswith(above) and text
        }
        section = json.loads(whole, parse_float=str) if whole else {} if parts else None
        if not isinstance(section, dict):
            return section
        for path, text in parts.items():
            # Names of settings in any case, as everywhere; keys of maps as they are written.
            setting, *keys = path.split(SEPARATOR)
            inner, last = section, setting.lower()
            for key in keys:
                inner, last = inner.setdefault(last, {}), key
                if not isinstance(inner, dict):
                    raise ValueError("a variable is inside the value of another")
            inner[last] = _plain(text)
        return section

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        # Fractions stay texts, so that a Decimal takes their digits.
        return json.loads(value, parse_float=str)


def _plain(text: str) -> Any:
    """Read a value as YAML would: numbers, lists and maps as such, everything else as its text."""
    try:
        return json.loads(text, parse_float=str)
    except ValueError:
        return text


def _unknown_variables() -> list[Mistake]:
    """Find misspelt settings. A single word that is like no setting may be somebody else's."""
    known = list(Settings.model_fields)
    mistakes = []
    for variable in sorted(os.environ):
        if not variable.upper().startswith(PREFIX):
            continue
        top, nested, _ = variable[len(PREFIX) :].lower().partition(SEPARATOR)
        if top in known:
            continue
        close = difflib.get_close_matches(top, known, n=1, cutoff=0.8)
        if nested or close:
            meant = f"Did you mean {PREFIX}{close[0].upper()}" if close else "Remove it"
            fix = f"{meant}; the settings are {', '.join(known)}"
            mistakes.append(Mistake(f"environment {variable}", "", "no such setting", fix))
    return mistakes


def _holds(tree: Any, path: Path) -> bool:
    for part in path:
        present = part in tree if isinstance(tree, dict) else isinstance(tree, list)
        if not present:
            return False
        tree = tree[part]
    return True
