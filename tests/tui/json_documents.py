"""Whatever any test has a command print with --json fits the schema that is published, and has no other names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tui.presentation.json_schema import DOCUMENTS, schema_of


def check_document(argv: Sequence[str], printed: str) -> None:
    """Raises jsonschema.ValidationError."""
    words = list(argv[: argv.index("--")] if "--" in argv else argv)
    command = next((word for word in words if word in DOCUMENTS), None)
    if command is None or "--json" not in words or not printed.startswith("{"):
        return
    validator(command).validate(json.loads(printed))


@cache
def validator(command: str) -> Draft202012Validator:
    schema = schema_of(command)
    return Draft202012Validator(closed(schema), format_checker=Draft202012Validator.FORMAT_CHECKER)


def closed(schema: Any) -> Any:
    """The schema without room for names that it does not list, so that each new name is published, too."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema and "$comment" not in schema:
        found["additionalProperties"] = False
    return found
