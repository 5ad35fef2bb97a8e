"""Loading the configuration: file, then environment over it, then every check, then one error."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from adapters.sdk.interface import Capabilities
from gateway.config.checks import find_mistakes
from gateway.config.document import Document, read_document
from gateway.config.environment import Environment
from gateway.config.mistakes import ConfigError, Mistake, Path, key_of
from gateway.config.settings import Settings


def load_settings(path: FilePath | None, brokers: Mapping[str, Capabilities]) -> Settings:
    """Load the file at `path`, if any, with the environment over it.

    `brokers` are the adapters at hand, by name. Relative paths in the settings are relative to
    the file's folder, wherever they came from; without a file, to the working directory.

    Raises:
        ConfigError: with every mistake there is, not only the first.
    """
    document = read_document(path) if path is not None else Document("configuration")
    environment = Environment()
    mistakes = [*document.mistakes, *environment.mistakes]

    def note(where: Path, problem: str, fix: str) -> None:
        variable = environment.source(where)
        source, line = (variable, 0) if variable else (document.name, document.line(where))
        mistakes.append(Mistake(source, key_of(where), problem, fix, line))

    tree = _merged(document.tree, environment.tree)
    _fill_in_brokers_figures(tree, brokers)
    wrong: set[Path] = set()
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            note(*_finding(details, brokers))
            wrong.add(details["loc"])
        # The rest is checked all the same, with what was wrong replaced by its default.
        lists = {path[:2] for path in wrong if path[0] == "alerts" and len(path) > 2}
        settings = Settings.model_validate(_without(tree, wrong | lists))
    folder = path.parent if path is not None else FilePath()
    settings = _with_absolute_paths(settings, folder.absolute())
    unreadable = environment.unreadable | ({"accounts"} if not document.readable else set())
    accounts_read = "accounts" not in unreadable and ("accounts",) not in wrong
    for where, problem, fix in find_mistakes(settings, brokers, accounts_read=accounts_read):
        if not any(where[: length + 1] in wrong for length in range(len(where))):
            note(where, problem, fix)
    if mistakes:
        raise ConfigError(mistakes)
    return settings


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            value = _merged(below, value)
        merged[key] = value
    return merged


def _fill_in_brokers_figures(tree: dict[str, Any], brokers: Mapping[str, Capabilities]) -> None:
    accounts = tree.get("accounts")
    for account in accounts if isinstance(accounts, list) else ():
        broker = account.get("broker") if isinstance(account, dict) else None
        capabilities = brokers.get(broker) if isinstance(broker, str) else None
        if capabilities is None:
            continue
        limits = account.get("limits")
        if limits is None:
            limits = account["limits"] = {}
        if isinstance(limits, dict) and limits.get("orders_per_second") is None:
            limits["orders_per_second"] = capabilities.orders_per_second


def _without(tree: Any, wrong: set[Path], at: Path = ()) -> Any:
    """Take out what was wrong, without moving any account to another place."""
    if isinstance(tree, dict):
        kept = {key: value for key, value in tree.items() if (*at, key) not in wrong}
        if len(at) == 2 and at[0] == "accounts":
            kept = {"id": "", "broker": ""} | kept
        return {key: _without(value, wrong, (*at, key)) for key, value in kept.items()}
    if isinstance(tree, list):
        if at == ("accounts",):
            tree = [account if isinstance(account, dict) else {} for account in tree]
        places = [(*at, index) for index in range(len(tree))]
        return [
            _without(item, wrong, place)
            for place, item in zip(places, tree, strict=True)
            if place not in wrong or at == ("accounts",)
        ]
    return tree


def _with_absolute_paths(settings: Settings, folder: FilePath) -> Settings:
    def absolute(path: FilePath | None) -> FilePath | None:
        return None if path is None else folder / path.expanduser()

    tls = settings.server.tls
    files = {
        name: absolute(getattr(tls, name)) for name in ("cert", "key", "client_ca", "client_crl")
    }
    server = settings.server.model_copy(update={"tls": tls.model_copy(update=files)})
    accounts = tuple(
        account.model_copy(update={"ca_file": absolute(account.ca_file)})
        for account in settings.accounts
    )
    alerts = settings.alerts.model_copy(
        update={
            name: tuple(
                each.model_copy(update={"ca_file": absolute(each.ca_file)})
                for each in getattr(settings.alerts, name)
            )
            for name in ("webhooks", "emails")
        }
    )
    names = ("anchor_file", "archive_dir")
    kept = {name: absolute(getattr(settings.audit, name)) for name in names}
    return settings.model_copy(
        update={
            "audit": settings.audit.model_copy(update=kept),
            "data_dir": absolute(settings.data_dir),
            "server": server,
            "accounts": accounts,
            "alerts": alerts,
        }
    )


def _finding(details: ErrorDetails, brokers: Mapping[str, Capabilities]) -> tuple[Path, str, str]:
    """Turn one of pydantic's findings into a path, a problem and a fix."""
    path: Path = details["loc"]
    kind = details["type"]
    context = details.get("ctx", {})
    if kind == "missing":
        return path, "is missing", f"Add `{path[-1]}:` with a value"
    if kind == "extra_forbidden":
        return path, "no such key", _fix_for_unknown_key(path, brokers)
    value = _shown(details["input"])
    if kind in ("literal_error", "enum"):
        return path, f"{value} is none of its values", f"Use one of {context['expected']}"
    if kind == "value_error":
        return path, str(context["error"]), "Write it in full, as in 203.0.113.7"
    if kind == "string_pattern_mismatch":
        names = (str(part) for part in reversed(path) if part in _PATTERNS)
        what, form = _PATTERNS.get(next(names, ""), ("not of the form that it must have", "..."))
        return path, f"{value} is {what}", f"Write it as in {form}"
    if kind in ("time_parsing", "time_type"):
        return path, f"{value} is no time of day", 'Write it as in `"08:35"`'
    if kind in _KINDS:
        noun, example = _KINDS[kind]
        return path, f"{value} is not {noun}", f"Write it as in {example}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return path, f"{value} is out of range", f"Use a value {words} {context[bound]}"
    return path, details["msg"], "Compare it with the example configuration"


_PATTERNS = {
    "warn_ahead": ("no length of time up to 12 hours", "`30m` or `2h`"),
}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("of at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("of at most", "le"),
    "string_too_short": ("with a length of at least", "min_length"),
    "string_too_long": ("with a length of at most", "max_length"),
}
_KINDS = {
    "string_type": ("a text", "`key: text`"),
    "path_type": ("a path", "`./data`"),
    "bool_parsing": ("true or false", "`true`"),
    "bool_type": ("true or false", "`true`"),
    "int_parsing": ("a whole number", "`8`"),
    "int_parsing_size": ("a whole number", "`8`"),
    "int_type": ("a whole number", "`8`"),
    "int_from_float": ("a whole number", "`8`"),
    "decimal_parsing": ("a number", '`"0.5"`'),
    "decimal_type": ("a number", '`"0.5"`'),
    "finite_number": ("a number", '`"0.5"`'),
    "dict_type": ("a map of keys to values", "`{key: value}`"),
    "model_type": ("a map of keys to values", "`{key: value}`"),
    "tuple_type": ("a list", "`[one, two]`"),
}


def _shown(value: object) -> str:
    # Only plain values, and only in part: this text ends in terminals and logs.
    if isinstance(value, (str, int, bool)):
        text = repr(value)
        return text if len(text) <= 60 else text[:56] + "..."
    return {dict: "a map", list: "a list", type(None): "nothing"}.get(type(value), "this value")


def _fix_for_unknown_key(path: Path, brokers: Mapping[str, Capabilities]) -> str:
    name = str(path[-1])
    secret = {field.name for each in brokers.values() for field in each.credentials}
    if path[0] == "accounts" and name in secret:
        return "Credentials never stand here: use `brokergate vault set`, and remove the line"
    known = _known_keys(path[:-1])
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    meant = f"Did you mean `{close[0]}`? " if close else "Remove it; "
    return (
        f"{meant}The keys here are {', '.join(known)}"
        if close
        else (f"{meant}the keys here are {', '.join(known)}")
    )


def _known_keys(path: Path) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        for candidate in (annotation, *get_args(annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return list(model.model_fields)
