"""The corpus is what it says: sound files are sound to SQLite, and every kind of trouble is really there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from engine.jobs import Operation
from tests.corpus.case import Trouble
from tests.corpus.fingerprint import fingerprint
from tests.corpus.oracle import verdict
from tests.corpus.registry import CORPUS


def test_each_case_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(case.name for case in CORPUS).items() if count > 1] == []


def test_sqlite_finds_sound_what_is_called_sound(tmp_path: Path) -> None:
    complaints = {}
    for number, case in enumerate(CORPUS):
        if case.trouble is Trouble.NONE:
            (tmp_path / str(number)).mkdir()
            _, complaints[case.name] = fingerprint(case.build(tmp_path / str(number)))
    assert {name: found for name, found in complaints.items() if found} == {}


def test_sqlite_meets_every_kind_of_trouble(tmp_path: Path) -> None:
    seen = set()
    for number, case in enumerate(CORPUS):
        if case.trouble not in {Trouble.NONE, Trouble.NO_DATABASE, Trouble.FORBIDDEN}:
            for operation in (Operation.CHECK, Operation.REINDEX):
                directory = tmp_path / f"{number}-{operation}"
                directory.mkdir()
                said = verdict(case.build(directory), operation, tmp_path / "backup.db")
                seen |= {said.error, "findings" if said.findings else ""}
    assert seen >= {
        "SQLITE_CANTOPEN",
        "SQLITE_CONSTRAINT_UNIQUE",
        "SQLITE_CORRUPT",
        "SQLITE_CORRUPT_VTAB",
        "SQLITE_ERROR",
        "SQLITE_ERROR_MISSING_COLLSEQ",
        "SQLITE_IOERR_READ",
        "SQLITE_NOTADB",
        "SQLITE_READONLY",
        "findings",
    }
