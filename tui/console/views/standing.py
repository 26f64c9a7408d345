"""What is said for as long as it is so: that something is missing without which jobs do not go on, or are not seen."""

from __future__ import annotations

from engine.domain.errors import DbtendError
from engine.domain.frozen import frozen
from tui.console.views.line import Line, Role, wrapped
from tui.presentation.text import counted


@frozen
class StatusBanner:
    """What there is to say it of."""

    lost: DbtendError | None = None
    """Why nothing is read from the store any more."""
    unread: DbtendError | None = None
    """Why the store could not be read the last time; it is tried again."""
    no_worker: DbtendError | None = None
    """Why there is no worker, though jobs are to be carried out."""
    waiting: int = 0
    """Jobs that nobody works on, and nobody was asked to."""
    has_store: bool = True
    read_only: bool = False


def standing_lines(about: StatusBanner, width: int) -> list[Line]:
    """What weighs most of it; nothing where all is well."""
    for sentence, role in _sentences(about):
        return wrapped(sentence, width, role, indent=1)
    return []


def _sentences(about: StatusBanner) -> list[tuple[str, Role]]:
    said: list[tuple[str, Role]] = []
    if about.lost and not about.has_store:
        said.append((f"{about.lost}.", Role.WARNING))
    elif about.lost:
        said.append((f"{about.lost}. What is shown is as it was last read.", Role.FAILED))
    if about.unread:
        said.append((f"{about.unread}. What is shown is as it was last read; trying again.", Role.FAILED))
    if about.no_worker:
        said.append((f"No worker: {str(about.no_worker).removeprefix('worker: ')}.", Role.FAILED))
    if about.waiting:
        wait = "waits" if about.waiting == 1 else "wait"
        or_else = "" if about.read_only else ", and so does the next job that is run here"
        how = f"dbtend worker starts one{or_else}"
        said.append((f"{counted(about.waiting, 'job')} {wait}, and no worker is up: {how}.", Role.WARNING))
    if not about.has_store:
        said.append(("There is no store of jobs yet: nothing has run, and a look makes none.", Role.DIM))
    return said


def waiting_for_the_store(locked_by: str, seconds_left: int) -> str:
    """Said while a write waits for others; `locked_by`: who it is, in words, where that is known."""
    who = locked_by or "another process has locked it"
    return f"The store of jobs is busy: {who}. Trying again, for {seconds_left} s more."


def not_stored(error: DbtendError, locked_by: str) -> str:
    """Said when that was in vain."""
    who = f"; {locked_by}" if locked_by else ""
    return f"Nothing was stored: {error.why}{who} ({error.hint})."
