"""Cases of the corpus, maintained by a real engine, and the errors in the results."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engine import Engine
from engine.domain.errors import DbtendError
from engine.domain.jobs import ChildJob
from engine.domain.requests import Operation, Options, Request
from engine.domain.statuses import Reason, Status
from tests.building import SQLITE_OPERATIONS
from tests.corpus.case import Case

Files = dict[Path, bytes]
LOCK_TIMEOUT = 0.05
"""Seconds; nobody else is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One operation on one case. `refusal` is the error of the submit, `child` the job if it was taken."""

    case: Case
    operation: Operation
    root: Path
    """The directory that it had for itself."""
    path: Path
    files: Files
    """All that was there before,"""
    files_after: Files
    """and after."""
    refusal: DbtendError | None = None
    child: ChildJob | None = None

    @property
    def name(self) -> str:
        return f"{self.operation} of {self.case.name}"

    @property
    def new_files(self) -> list[Path]:
        return sorted(self.files_after.keys() - self.files.keys())

    @property
    def said(self) -> str:
        """Everything that a user reads."""
        if self.child is None:
            return str(self.refusal)
        steps = (step.error or "" for step in self.child.steps)
        lines = (line.message for line in self.child.log)
        return "\n".join([self.child.error or "", *self.child.warnings, *steps, *lines])

    @property
    def ending(self) -> str:
        if self.child is None:
            return f"refused, {self.refusal}"
        return f"{self.child.status} ({self.child.reason}), {self.said}"

    @property
    def went_well(self) -> bool:
        return self.child is not None and self.child.status in {Status.COMPLETED, Status.SKIPPED}

    @property
    def is_refused(self) -> bool:
        return self.child is None or self.child.reason is Reason.REFUSED

    @property
    def findings(self) -> object:
        """How many a check counted."""
        return ((self.child and self.child.after) or {}).get("findings")


async def tried(engine: Engine, directory: Path, wanted: Sequence[tuple[Case, Operation]]) -> list[Trial]:
    """Each on files of its own, all of them at once."""
    with ExitStack() as stack:
        begun, ids = [], []
        for number, (case, operation) in enumerate(wanted):
            (directory / str(number)).mkdir()
            path = case.build(directory / str(number))
            before = files_in(directory / str(number))
            stack.enter_context(case.meanwhile(path))
            refusal, job = await _submitted(engine, path, operation)
            begun.append((case, operation, path, before, refusal, job))
            ids += [] if job is None else [job]
        parents = {parent.id: parent for parent in await engine.wait(ids)}
    return [
        Trial(
            case=case,
            operation=operation,
            root=directory / str(number),
            path=path,
            files=before,
            files_after=files_in(directory / str(number)),
            refusal=refusal,
            child=None if job is None else parents[job].children[0],
        )
        for number, (case, operation, path, before, refusal, job) in enumerate(begun)
    ]


async def _submitted(engine: Engine, path: Path, operation: Operation) -> tuple[DbtendError | None, int | None]:
    request = Request(target=str(path), operations=(operation,), options=Options(lock_timeout=LOCK_TIMEOUT))
    try:
        (parent,) = await engine.submit([request])
    except DbtendError as error:
        return error, None
    return None, parent.id


def files_in(directory: Path) -> Files:
    """What is in all files below a directory; links and what is no file at all count by their name."""
    return {
        path.relative_to(directory): path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        for path in directory.rglob("*")
    }


def some_of(cases: Collection[Case], each: int) -> Iterator[tuple[Case, Operation]]:
    """Every case with `each` operations, in turn, so that all operations come equally often."""
    operations = list(SQLITE_OPERATIONS)
    for number, case in enumerate(cases):
        for turn in range(each):
            yield case, operations[(number * each + turn + number // len(operations)) % len(operations)]
