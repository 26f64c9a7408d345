"""The published schemas: what commands print fits them, and what does not is found."""

from __future__ import annotations

import argparse
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tests.tui.json_documents import check_document, validator
from tui.commands.arguments import parser_of
from tui.commands.command_table import COMMANDS
from tui.presentation.exit_codes import FAILED, OK, REFUSED, USAGE
from tui.presentation.json_schema import DOCUMENTS, schema_of

WITH_JSON = [
    name for name in COMMANDS if any(a.dest == "json" and a.help != argparse.SUPPRESS for a in parser_of(name)._actions)
]


@pytest.mark.parametrize("command", WITH_JSON)
def test_each_command_that_prints_json_publishes_a_schema(dbtend: CommandLine, command: str) -> None:
    after, before = dbtend(command, "--json-schema"), dbtend("--json-schema", command)
    assert (after.code, after.err) == (OK, "")
    assert after.json == before.json
    Draft202012Validator.check_schema(after.json)
    assert after.json["title"] == f"dbtend {command} --json"
    assert not dbtend.store.exists()


def test_no_other_command_has_one() -> None:
    assert set(WITH_JSON) == set(DOCUMENTS)


def test_a_command_without_json_has_no_schema(dbtend: CommandLine) -> None:
    assert dbtend("worker", "--json-schema").code == USAGE
    assert dbtend("--json-schema").code == USAGE


def test_a_schema_names_all_that_it_refers_to_and_nothing_else() -> None:
    for command in DOCUMENTS:
        text = json.dumps(schema_of(command))
        for name in schema_of(command)["$defs"]:
            assert f'"#/$defs/{name}"' in text
        assert text.count('"$ref"') >= len(schema_of(command)["$defs"])


def test_what_a_life_of_jobs_prints_fits(dbtend: CommandLine, sales: Path) -> None:
    """Each call is checked where it is made; see tests/tui/json_documents.py."""
    missing, other = sales.with_name("missing.db"), make_database(sales.with_name("other.db"), rows=3)
    assert dbtend("plan", sales, "--json").code == OK
    later = f"{datetime.now() + timedelta(hours=2):%H:%M}"
    assert dbtend("run", sales, "--op", "check", "--op", "vacuum", "--until", later, "--json").code == OK
    assert dbtend("run", sales, other, missing, "--op", "analyze", "--json").code == FAILED
    assert dbtend("run", missing, "--json").code == USAGE
    assert dbtend("retry", "1", "--json").code == OK
    for line in (
        "history", "show 1", "show b1", "pin 1", "unpin 1", "cancel 1", "cancel b1", "workers", "pause", "resume",
        "prune --dry-run", "show 99", "history status:nonsense", "notify",
    ):  # fmt: skip
        document = dbtend(*line.split(), "--json").json
        assert document
    for command in ("advise", "fleet"):
        assert dbtend(command, sales, other, missing, "--json").json
    assert dbtend("doctor", sales, missing, "--json").code == FAILED
    assert dbtend("demo", "--json").code == OK
    make_database(sales.with_name("damaged.db"), rows=2000)
    with sales.with_name("damaged.db").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 8000)
    assert dbtend("run", sales.with_name("damaged.db"), "--op", "check", "--json").code in {FAILED, REFUSED}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"jobs": []},
        {"batch": "b1", "jobs": []},
        {"batch": None, "jobs": [{"id": 1}]},
        {"batch": None, "jobs": [], "more": 1},
        {"error": {"kind": "odd", "message": "x", "hint": ""}},
    ],
)
def test_what_is_wrong_does_not_fit(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check_document(["run", "x.db", "--json"], json.dumps(wrong))


def test_who_reads_it_takes_names_that_are_added_later(dbtend: CommandLine, sales: Path) -> None:
    document = dbtend("run", sales, "--op", "analyze", "--json").json
    document["jobs"][0]["of_a_newer_dbtend"] = 1
    Draft202012Validator(schema_of("run")).validate(document)
    with pytest.raises(ValidationError):
        validator("run").validate(document)
