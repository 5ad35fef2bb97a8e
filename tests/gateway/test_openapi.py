"""The OpenAPI document: whole, valid, and its examples are what it describes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.api.openapi import openapi_document
from gateway.config import Settings
from gateway.runtime import Gateway
from gateway.secrets import Keyring, generate_master_key

Media = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("data")
    gateway = Gateway(Settings(data_dir=folder), {}, Keyring(generate_master_key()))
    try:
        return openapi_document(gateway.routes(), "1.2.3")
    finally:
        gateway.store.close()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def media(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every body that is sent or answered: where, of what kind, and what is said of it."""
    for name, operation in operations(document):
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{name} request", kind, content
        for status, answer in operation["responses"].items():
            for kind, content in answer.get("content", {}).items():
                yield f"{name} {status}", kind, content


def parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from parts(each)
    elif isinstance(value, list):
        for each in value:
            yield from parts(each)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    named = {part["$ref"] for part in parts(document) if isinstance(part.get("$ref"), str)}
    assert {f"#/components/schemas/{name}" for name in schemas} >= named
    assert len(named) > 50


def test_every_schema_is_one(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_operation_has_its_own_id_and_all_that_a_reader_needs(
    document: dict[str, Any],
) -> None:
    found = dict(operations(document))
    assert len({each["operationId"] for each in found.values()}) == len(found)
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in found.items():
        assert operation["summary"], name
        assert set(operation["tags"]) <= tags, name
        assert operation["responses"], name
        said = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert said == {part[1:-1] for part in name.split("/") if part.startswith("{")}, name


def test_every_request_and_answer_has_an_example(document: dict[str, Any]) -> None:
    missing = [where for where, _, content in media(document) if "example" not in content]
    assert missing == [], "add the call to docs/calls.md and run python -m tests.docs.record"


def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    wrong = []
    for where, kind, content in media(document):
        if "json" in kind and "example" in content:
            schema = {**content["schema"], "components": document["components"]}
            for error in Draft202012Validator(schema).iter_errors(content["example"]):
                wrong.append(f"{where}: {'.'.join(map(str, error.path))} {error.message}"[:300])
    assert wrong == [], "run python -m tests.docs.record"


def test_prices_are_text_in_answers_and_may_be_numbers_in_requests(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    asked = [part["type"] for part in parts(schemas["OrderRequest"]) if "format" in part]
    answered = [part["type"] for part in parts(schemas["LegView"]) if "format" in part]
    assert [["string", "number"]] * 2 == asked
    assert {"string"} == set(answered)


def test_examples_show_no_secret_and_no_machine(document: dict[str, Any]) -> None:
    text = str([content.get("example") for _, _, content in media(document)])
    assert "bg_live_..." in text
    assert text.count("bg_live_") == text.count("bg_live_...")
    assert "/tmp/" not in text
    assert "127.0.0.1" not in text
