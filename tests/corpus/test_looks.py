"""A mere look at a file, to plan or to advise, changes nothing, and whatever is wrong with it is said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import look
from engine.advice import Past
from engine.clock import now
from engine.errors import DbtendError
from engine.jobs import Operation, Options, Request
from tests.corpus.case import Trouble
from tests.corpus.judge import NOT_FOR_USERS, State, what_sqlite_does
from tests.corpus.registry import GROUPS
from tests.corpus.trial import LOCK_TIMEOUT, files_in


async def _plan(path: Path) -> None:
    options = Options(lock_timeout=LOCK_TIMEOUT)
    await look.plan(Request(target=str(path), operations=tuple(Operation), options=options))


async def _advise(path: Path) -> None:
    await look.advise(str(path), Past(now=now()), budget=None)


@pytest.mark.parametrize("group", GROUPS)
async def test_a_look_changes_nothing_and_fails_in_words(tmp_path: Path, group: str) -> None:
    complaints = []
    for number, case in enumerate(GROUPS[group]):
        directory = tmp_path / str(number)
        directory.mkdir()
        path = case.build(directory)
        before = files_in(directory)
        with case.meanwhile(path):
            for look_at in (_plan, _advise):
                try:
                    await look_at(path)
                except DbtendError as error:
                    complaints += [f"{case.name}: says {word}" for word in NOT_FOR_USERS if word in str(error)]
                except Exception as error:  # what the rest makes of it is worth knowing, too
                    complaints.append(f"{case.name}: raises {error!r}")
        after = files_in(directory)
        if case.trouble is Trouble.LEFTOVERS:  # which SQLite clears up, and so changes the file
            dictated = what_sqlite_does(case, Operation.CHECK)
            same, new = State.of(path) == dictated.after, after.keys() - before.keys() - dictated.files
        else:
            same, new = (
                all(after.get(name) == content for name, content in before.items()),
                after.keys() - before.keys(),
            )
        if case.trouble is Trouble.FORBIDDEN:  # what SQLite makes for a reader, one that may not write cannot remove
            new = {name for name in new if not name.name.endswith(("-wal", "-shm"))}
        complaints += [] if same else [f"{case.name}: is changed"]
        complaints += [f"{case.name}: there is a new file {name}" for name in new]
    assert complaints == []
