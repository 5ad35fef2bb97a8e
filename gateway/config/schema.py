"""The settings as a JSON Schema, for editors that complete and check while one types.

It is a help, not the judge: `load_settings` also compares settings with each other and with the
adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic.json_schema import GenerateJsonSchema

from adapters.sdk.interface import Capabilities
from gateway.config.settings import Settings
from gateway.prechecks.limits import RiskLimits

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"
_TIME = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}


def settings_schema(brokers: Mapping[str, Capabilities]) -> dict[str, Any]:
    """Return the schema of the configuration file, with the names of the adapters at hand."""
    schema = Settings.model_json_schema(schema_generator=_Generator)
    for model in (schema, *schema["$defs"].values()):
        required = model.get("required", ())
        for name, field in model.get("properties", {}).items():
            # A file's "08:15" is a time without an offset, which the format `time` is not.
            if field.get("format") == "time":
                field = {"default": field["default"], **_TIME}
            if name == "risk":
                field = {"$ref": _REF.format(name=RiskLimits.__name__)}
            field.pop("title", None)
            model["properties"][name] = field if name in required else _or_null(field)
    account = schema["$defs"]["Account"]["properties"]
    account["broker"] = {"enum": sorted(brokers)}
    hosts = sorted({host for each in brokers.values() for host in each.hosts})
    [urls] = [each for each in account["base_urls"]["anyOf"] if each.get("type") == "object"]
    urls["propertyNames"] = {"enum": hosts}
    logins = sorted({kind for each in brokers.values() for kind in each.login_kinds})
    account["login"] = {"enum": [*logins, None], "default": None}
    schema["$defs"] |= _limits()
    return {"$schema": _DIALECT, **schema, "title": "brokergate configuration"}


class _Generator(GenerateJsonSchema):
    # Defaults that have no form in JSON are left out; every one of them means "no limit".
    ignored_warning_kinds = {*GenerateJsonSchema.ignored_warning_kinds, "non-serializable-default"}


def _limits() -> dict[str, Any]:
    """Describe the risk limits, which are read by msgspec, with what they refer to."""
    _, parts = msgspec.json.schema_components([RiskLimits], ref_template=_REF)
    properties = parts[RiskLimits.__name__]["properties"]
    for name, field in properties.items():
        properties[name] = _or_null(_with_numbers(field))
    return parts


def _with_numbers(schema: Any) -> Any:
    """Allow numbers where msgspec only thinks of texts: the file's numbers are read by digits."""
    if isinstance(schema, list):
        return [_with_numbers(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {"type": ["string", "number"]}
    return {key: _with_numbers(value) for key, value in schema.items()}


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    """Allow a key without a value, which means its default."""
    choices = field.pop("anyOf", None)
    if choices is None:
        default = {"default": field.pop("default")} if "default" in field else {}
        return {"anyOf": [field, {"type": "null"}], **default}
    if {"type": "null"} not in choices:
        choices = [*choices, {"type": "null"}]
    return {"anyOf": choices, **field}
