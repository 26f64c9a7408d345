"""The status banner: a lasting problem of running or showing jobs; and the page of a locked store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from engine.domain.errors import DbtendError, StoreError
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from tui.console.views.line import Line, Role, wrapped
from tui.presentation.text import counted, plain


@frozen
class StatusBanner:
    lost: StoreError | None = None
    """Why the store is no longer read."""
    unread: DbtendError | None = None
    """Why the last read of the store failed; it is retried."""
    no_worker: DbtendError | None = None
    """Why no worker could be started."""
    waiting: int = 0
    """Open jobs for which no worker was requested."""
    waiting_elsewhere: Mapping[str, int] = field(default_factory=dict)
    """Open jobs for which a host has no worker, by its name."""
    has_store: bool = True
    read_only: bool = False

    @property
    def passes(self) -> bool:
        """Whether a store that is lost may be there again."""
        return self.lost is not None and self.lost.is_transient


def banner_lines(about: StatusBanner, width: int) -> list[Line]:
    """The most important problem; empty: all is well."""
    for sentence, role in _sentences(about):
        return wrapped(sentence, width, role, indent=1)
    return []


def _sentences(about: StatusBanner) -> list[tuple[str, Role]]:
    sentences: list[tuple[str, Role]] = []
    if about.lost and not about.has_store:
        sentences.append((f"{about.lost}.", Role.WARNING))
    elif about.lost:
        retrying = "; retrying" if about.passes else ""
        sentences.append((f"{about.lost}. The screen shows the last state that was read{retrying}.", Role.FAILED))
    if about.unread:
        sentences.append((f"{about.unread}. The screen shows the last state that was read; retrying.", Role.FAILED))
    if about.no_worker:
        sentences.append((f"No worker: {_without_worker(about.no_worker)}.", Role.FAILED))
    if about.waiting:
        wait = "waits" if about.waiting == 1 else "wait"
        or_else = "" if about.read_only else ", or run another job here"
        how = f"Start one with: dbtend worker{or_else}"
        sentences.append((f"{counted(about.waiting, 'job')} {wait}, no worker is up. {how}.", Role.WARNING))
    if number := sum(about.waiting_elsewhere.values()):
        wait = "waits" if number == 1 else "wait"
        hosts = plain(listed(sorted(about.waiting_elsewhere), 3))
        what = f"{counted(number, 'job')} {wait} for a worker of {hosts}: start dbtend worker there."
        sentences.append((what, Role.WARNING))
    if not about.has_store:
        sentences.append(("No job store yet: nothing has run. A read-only console creates none.", Role.DIM))
    return sentences


def _without_worker(error: DbtendError) -> str:
    """The error as text; the banner says already that it is about the worker."""
    hint = f" ({error.hint})" if error.hint else ""
    return f"{error.why}{hint}" if error.what == "worker" else str(error)


def waiting_for_the_store(locked_by: str, seconds_left: int) -> str:
    """Said while a write waits; `locked_by`: which process holds the lock, "" if unknown."""
    who = locked_by or "another process has locked it"
    return f"The job store is busy: {who}. Retrying for {seconds_left} s more."


def not_stored(error: DbtendError, locked_by: str) -> str:
    """Said when the write has failed."""
    who = f"; {locked_by}" if locked_by else ""
    return f"Nothing was stored: {error.why}{who} ({error.hint})."


def locked_store_document(store: Path, locked_by: str, seconds_left: int, tries: int, width: int) -> list[Line]:
    """`locked_by`: which process holds the lock, "" if unknown; `seconds_left`: to the next try, 0: now."""
    who = f"{plain(str(store))}: {locked_by or 'another process has locked it'}."
    when = f"in {seconds_left} s" if seconds_left else "now"
    so_far = f" ({tries} tries failed)" if tries > 1 else ""
    return [
        *wrapped("The job store is locked.", width, Role.WARNING),
        *wrapped(who, width),
        Line(),
        *wrapped(f"Next try {when}{so_far}. The console opens as soon as the store is free.", width, Role.DIM),
    ]


def pause_before(tries: int) -> int:
    """Seconds to wait after so many failed tries: doubled each time, at most ten."""
    return min(1 << min(tries - 1, 4), 10)
