"""A plan or advice changes no file, and reports every trouble of it in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.errors import DbtendError
from engine.domain.requests import Operation, Options, Request
from engine.inspection import inspector
from engine.system.clock import now
from tests.building import SQLITE_OPERATIONS
from tests.corpus.case import Case, Trouble
from tests.corpus.fingerprint import scratch
from tests.corpus.judge import NOT_FOR_USERS, State, what_sqlite_does
from tests.corpus.registry import GROUPS
from tests.corpus.trial import LOCK_TIMEOUT, Files, files_in


async def _plan(path: Path) -> None:
    options = Options(lock_timeout=LOCK_TIMEOUT)
    await inspector.plan(Request(target=str(path), operations=SQLITE_OPERATIONS, options=options))


async def _advise(path: Path) -> None:
    await inspector.advise(str(path), TargetHistory(now=now()), budget=None)


@pytest.mark.parametrize("every", [2, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("group", GROUPS)
async def test_a_look_changes_nothing_and_fails_in_words(group: str, every: int) -> None:
    """`every`: second file of the group, or each."""
    cases = GROUPS[group][::every]
    assert [f"{case.name}: {complaint}" for case in cases for complaint in await _complaints(case)] == []


async def _complaints(case: Case) -> list[str]:
    said = []
    with scratch() as directory:
        path = case.build(directory)
        before = files_in(directory)
        with case.meanwhile(path):
            for look_at in (_plan, _advise):
                try:
                    await look_at(path)
                except DbtendError as error:
                    said += [f"says {word}" for word in NOT_FOR_USERS if word in str(error)]
                except Exception as error:  # what the rest makes of it is worth knowing, too
                    said.append(f"raises {error!r}")
        after = files_in(directory)
        return [*said, *_changes(case, path, before, after)]


def _changes(case: Case, path: Path, before: Files, after: Files) -> Iterator[str]:
    new = after.keys() - before.keys()
    same = all(after.get(name) == content for name, content in before.items())
    if case.trouble is Trouble.LEFTOVERS:  # which SQLite clears up, and so changes the file
        dictated = what_sqlite_does(case, Operation.CHECK)
        same, new = State.of(path) == dictated.after, new - dictated.files
    if case.trouble is Trouble.FORBIDDEN:  # what SQLite makes for a reader, one that may not write cannot remove
        new = {name for name in new if not name.name.endswith(("-wal", "-shm"))}
    if not same:
        yield "is changed"
    yield from (f"there is a new file {name}" for name in new)
