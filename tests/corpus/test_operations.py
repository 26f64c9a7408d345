"""Every operation on every kind of file ends as SQLite's own behaviour dictates, and leaves the content alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from engine import Engine
from engine.domain.requests import Operation
from tests.corpus.accepted import ACCEPTED
from tests.corpus.case import Case
from tests.corpus.fingerprint import scratch
from tests.corpus.judge import complaints_about
from tests.corpus.registry import CORPUS, GROUPS
from tests.corpus.trial import some_of, tried

WRONG_ONCE = (
    (Operation.BACKUP, "schema: a table without an index in lower case"),
    (Operation.BACKUP, "schema: a virtual table in lower case"),
    (Operation.VACUUM, "schema: a view in lower case"),
    (Operation.VACUUM, "schema: a trigger in lower case"),
    (Operation.VACUUM, "fts4 on a table without a key"),
    (Operation.CHECK, "schema: statistics with a column too few"),
    (Operation.REINDEX, "schema: a table of statistics that is an ordinary one"),
    (Operation.CHECK, "size of a row"),
    (Operation.REINDEX, "size of a row"),
    (Operation.BACKUP, "file 'no\\udcff\\udcfeutf8.db'"),
    (Operation.BACKUP, "fts5 tokenizer"),
    (Operation.REINDEX, "a WITHOUT ROWID table by another collation"),
    (Operation.REINDEX, "leaf of a table without rowid: zeroed"),
    (Operation.REINDEX, "an index that is no UTF-8"),
    (Operation.REINDEX, "a surrogate"),
    (Operation.ANALYZE, "a table that is no UTF-8"),
    (Operation.REINDEX, "a table that is no UTF-8"),
    (Operation.CHECK, "a table that is no UTF-8"),
    (Operation.REINDEX, "leaf of an index: a copy of another"),
    (Operation.REINDEX, "hot journal with a header of zeros"),
    (Operation.REINDEX, "schema: a definition of two statements"),
    (Operation.REINDEX, "schema: a definition with a NUL"),
    (Operation.REINDEX, "an index with other columns than it is said to have"),
)


@pytest.mark.parametrize("each", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("group", GROUPS)
async def test_each_operation_ends_as_sqlite_dictates(group: str, each: int) -> None:
    """`each`: how many operations each file is tried with; `python -m tests.corpus` tries all."""
    wanted = [trial for trial in some_of(GROUPS[group], each) if (trial[1], trial[0].name) not in ACCEPTED]
    assert await complaints(wanted) == {}


async def test_what_was_wrong_once_is_right() -> None:
    assert await complaints(named(WRONG_ONCE)) == {}


async def test_what_is_accepted_is_still_there_to_be_accepted() -> None:
    assert len(await complaints(named(ACCEPTED))) == len(ACCEPTED)


def named(trials: Iterable[tuple[Operation, str]]) -> list[tuple[Case, Operation]]:
    cases = {case.name: case for case in CORPUS}
    return [(cases[name], operation) for operation, name in trials]


async def complaints(wanted: Sequence[tuple[Case, Operation]]) -> dict[str, list[str]]:
    with scratch() as directory:
        async with Engine.open(directory / "jobs.db", workers=2) as engine:
            trials = await tried(engine, directory, wanted)
        return {trial.name: found for trial in trials if (found := list(complaints_about(trial)))}
