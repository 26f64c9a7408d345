"""What the processes of a chaos test did: lines in one file, each written at once by the process that did it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path


class What(StrEnum):
    SUBMITTED = "submitted"
    """`submit` has returned."""
    BEGAN = "began"
    """An execution on a target; with `alone` False while another one was going on."""
    ENDED = "ended"
    FINISHED = "finished"
    """The store has accepted how an execution ended."""
    REFUSED = "refused"
    """The store has not: the child is another's by now."""
    RELEASED = "released"
    """Handed back."""
    KILLED = "killed"
    """A process, just before the signal was sent."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    what: What
    pid: int
    """Whose doing it is, or who is killed or stopped."""
    at: int
    """Nanoseconds of a clock that all processes share."""
    job: str = ""
    attempt: int = 0
    ended_before: int = 0
    """The earlier attempt whose result this one found kept, and handed in as the end of the job."""
    target: str = ""
    operations: tuple[str, ...] = ()
    status: str = ""
    alone: bool = True


class Trace:
    """The trace of one chaos test, and where its files are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = directory / "jobs.db"
        self._file = directory / "trace"

    def tell(
        self,
        what: What,
        *,
        pid: int | None = None,
        job: object = "",
        attempt: int = 0,
        ended_before: int = 0,
        target: str = "",
        operations: tuple[str, ...] = (),
        status: str = "",
        alone: bool = True,
    ) -> None:
        """Add a line; of several processes that do so at once, each writes a whole one."""
        line = Line(
            what=what,
            pid=os.getpid() if pid is None else pid,
            at=time.monotonic_ns(),
            job=str(job),
            attempt=attempt,
            ended_before=ended_before,
            target=target,
            operations=operations,
            status=status,
            alone=alone,
        )
        file = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"\n{json.dumps(asdict(line))}\n".encode())
        finally:
            os.close(file)

    def size(self) -> int:
        """It grows whenever a process has told something."""
        return self._file.stat().st_size if self._file.exists() else 0

    def told(self) -> list[Line]:
        """All lines, oldest first, but for one that a process was killed in the middle of."""
        text = self._file.read_text() if self._file.exists() else ""
        found = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        lines = [
            Line(**{**line, "what": What(line["what"]), "operations": tuple(line["operations"])}) for line in found
        ]
        return sorted(lines, key=lambda line: line.at)
