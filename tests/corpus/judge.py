"""The correct reports of an operation on a file, given what SQLite itself does with that file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from tests.corpus.case import Case, Trouble
from tests.corpus.fingerprint import Content, fingerprint, scratch
from tests.corpus.oracle import Verdict, verdict
from tests.corpus.trial import Trial, files_in

DAMAGE: Final = ("damaged", "not a SQLite database", "malformed")
NOT_FOR_USERS: Final = ("internal error", "Traceback", "sqlite3.", "Error(")
MAY_BE_REWRITTEN: Final = frozenset({"definitions"})
"""SQLite itself cuts off what follows a definition."""
NOT_COPIED: Final = frozenset({"definitions", "journal_mode"})


@dataclass(frozen=True, slots=True)
class State:
    """What a file holds, and what a full check complains of."""

    content: Content
    complaints: list[str]

    @classmethod
    def of(cls, path: Path) -> State:
        return cls(*fingerprint(path))

    def number_of_complaints(self) -> int:
        return len(self.complaints)

    def lost_in(self, other: State, besides: frozenset[str]) -> set[str]:
        return {part for part, held in self.content.items() if other.content.get(part) != held} - besides


@dataclass(frozen=True, slots=True)
class Dictated:
    """What SQLite itself does: the file before and after it, its verdict, and its copy if it made one."""

    before: State
    after: State
    verdict: Verdict
    files: frozenset[Path]
    copy: State | None

    @property
    def loses_content(self) -> bool:
        return bool(
            self.before.lost_in(self.after, MAY_BE_REWRITTEN)
            or (self.copy and self.before.lost_in(self.copy, NOT_COPIED))
        )


def what_sqlite_does(case: Case, operation: Operation) -> Dictated:
    with scratch() as directory, scratch() as elsewhere:
        backup = elsewhere / "backup.db"
        path = case.build(directory)
        before, said = State.of(path), verdict(path, operation, backup)
        copy = State.of(backup) if backup.exists() else None
        return Dictated(before, State.of(path), said, frozenset(files_in(directory)), copy)


def complaints_about(trial: Trial) -> Iterator[str]:
    """All that is wrong with how a trial ended."""
    yield from (f"tells the user {word!r}" for word in NOT_FOR_USERS if word in trial.said)
    if trial.case.trouble in {Trouble.NO_DATABASE, Trouble.FORBIDDEN}:
        yield from _kept_away(trial)
        return
    dictated, after = what_sqlite_does(trial.case, trial.operation), State.of(trial.path)
    # SQLite removes the last trace of lost rows, and nothing shows the loss any more.
    keeps_last_trace = trial.child is not None and trial.child.reason is Reason.DAMAGED
    if not ((keeps_last_trace and dictated.before.complaints) or (trial.is_refused and dictated.loses_content)):
        yield from _verdict(trial, dictated.verdict)
    yield from _content(trial, after, dictated)
    yield from _new_files(trial, after, dictated)


def _kept_away(trial: Trial) -> Iterator[str]:
    reads_only = trial.operation in {Operation.CHECK, Operation.BACKUP} and trial.case.trouble is Trouble.FORBIDDEN
    if not trial.is_refused and not reads_only:
        yield f"is not refused: {trial.ending}"
    if changed := [path for path, content in trial.files.items() if trial.files_after.get(path) != content]:
        yield f"has changed {changed}"
    if trial.new_files and not reads_only:
        yield f"has left {trial.new_files}"


def _verdict(trial: Trial, dictated: Verdict) -> Iterator[str]:
    child, went_well = trial.child, trial.went_well
    had_nothing_to_do = child is not None and child.reason is Reason.NOT_NEEDED
    if (
        trial.operation is Operation.BACKUP and dictated.findings
    ):  # the copy is worth keeping if it is called what it is
        if went_well and child and not child.warnings:
            yield f"does not tell of {dictated.findings}"
        return
    if dictated.succeeds and not went_well:
        yield f"SQLite succeeds; this ended {trial.ending}"
    # What can be done is done table by table, where SQLite does nothing at all; it is said what is left out.
    # A copy of pages needs nothing of the application.
    is_copy = trial.operation is Operation.BACKUP
    in_part = trial.case.trouble is Trouble.MISSING_CODE and child is not None and (is_copy or bool(child.warnings))
    if not dictated.succeeds and went_well and not had_nothing_to_do and not in_part:
        yield f"SQLite says {dictated}; this ended {trial.ending}"
    if went_well:
        return
    told_as_damage = any(word in trial.said for word in DAMAGE) or bool(trial.findings)
    if told_as_damage and not dictated.is_damage:
        yield f"is called damage, where SQLite says {dictated}: {trial.ending}"
    if dictated.is_damage and not told_as_damage and "SQLite says" not in trial.said:
        yield f"does not tell the damage: {dictated}, {trial.ending}"
    if child is not None and not child.error:
        yield "has ended without a sentence"


def _content(trial: Trial, after: State, dictated: Dictated) -> Iterator[str]:
    for part in dictated.before.lost_in(after, besides=frozenset()):
        as_sqlite_leaves_it = dictated.after.content.get(part)
        may_change = bool(dictated.before.complaints) or part in MAY_BE_REWRITTEN
        if not (may_change and after.content.get(part) == as_sqlite_leaves_it):
            was, now = dictated.before.content[part], after.content.get(part)
            yield f"has changed {part}: {was}, now {now}, SQLite leaves {as_sqlite_leaves_it}"
    bearable = (
        dictated.after if trial.went_well else max(dictated.before, dictated.after, key=State.number_of_complaints)
    )
    if len(after.complaints) > len(bearable.complaints):
        yield f"leaves {after.complaints}, SQLite {dictated.after.complaints}"


def _new_files(trial: Trial, after: State, dictated: Dictated) -> Iterator[str]:
    made = [file for file in trial.new_files if file not in dictated.files]
    if trial.operation is not Operation.BACKUP or not trial.child or trial.child.status is not Status.COMPLETED:
        if made:
            yield f"has left {made}"
    elif len(made) != 1:
        yield f"is to make one file, and made {made}"
    else:
        copy = State.of(trial.root / made[0])
        if copy.complaints and not after.complaints:
            yield f"has a copy with {copy.complaints}"
        yield from (f"has a copy without {part}" for part in after.lost_in(copy, NOT_COPIED))
