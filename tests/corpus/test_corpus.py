"""Each file of the corpus is as labelled: sound to SQLite, or with exactly its kind of trouble."""

from __future__ import annotations

from collections import Counter

from engine.domain.requests import Operation
from tests.corpus.case import Trouble
from tests.corpus.fingerprint import fingerprint, scratch
from tests.corpus.oracle import verdict
from tests.corpus.registry import CORPUS


def test_each_case_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(case.name for case in CORPUS).items() if count > 1] == []


def test_sqlite_finds_sound_what_is_called_sound() -> None:
    complaints = {}
    for case in CORPUS:
        if case.trouble is Trouble.NONE:
            with scratch() as directory:
                _, complaints[case.name] = fingerprint(case.build(directory))
    assert {name: found for name, found in complaints.items() if found} == {}


def test_sqlite_meets_every_kind_of_trouble() -> None:
    seen = set()
    for case in CORPUS:
        if case.trouble not in {Trouble.NONE, Trouble.NO_DATABASE, Trouble.FORBIDDEN}:
            for operation in (Operation.CHECK, Operation.REINDEX):
                with scratch() as directory:
                    said = verdict(case.build(directory), operation, directory / "backup.db")
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
