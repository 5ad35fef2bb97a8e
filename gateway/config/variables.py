"""Reads settings out of environment variables. Loaded only where one holds a setting."""

from __future__ import annotations

import json
import os
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from gateway.config.environment import PREFIX, SEPARATOR
from gateway.config.settings import Settings

_RISK = "risk"


class Unreadable(ValueError):
    """A variable's value is not of the form that its setting needs."""


def read(name: str) -> dict[str, Any]:
    """Read one top-level setting; empty where no variable holds any of it.

    Raises: `Unreadable`, whose text may show the value.
    """
    try:
        return _Source(_Variables).read(name)
    except (SettingsError, ValueError) as error:
        raise Unreadable(str(error)) from error


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
