"""Polls the progress of all running statements, several times a second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.domain.humanize import span
from engine.domain.steps import WaitsFor
from engine.targets.command_monitor import CommandMonitor, WatchedCommand
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.locks import NO_BLOCKERS, OF_MODE, Blockers, prepared_text
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.running.progress import VIEWS, WAIT_OF_REPACK, Progress, may_wait
from engine.targets.postgres.running.wait_limits import WaitLimits


@dataclass(slots=True, kw_only=True)
class Watched(WatchedCommand):
    """A statement that runs."""

    progress: Progress
    wait_limits: WaitLimits | None = None
    """The limits of waits that lock_timeout does not enforce."""
    blockers: Blockers = NO_BLOCKERS
    """The blockers of its latest wait."""


class Monitor(CommandMonitor[Watched]):
    """Reads the progress of statements."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self._reader = reader
        self._query = ""

    async def poll(self) -> None:
        if not self._query:
            names = {name for (name,) in await self._reader.rows_or_error(query("progress_views"), row=(str,))}
            self._query = progress_query([view for view in VIEWS if f"pg_stat_progress_{view}" in names])
        asked = dict(self.watched)
        rows = {row["pid"]: row for (row,) in await self._reader.rows_or_error(self._query, [list(asked)], row=(dict,))}
        yielding = [backend for backend, watched in asked.items() if watched.yield_after is not None]
        if yielding or any(map(may_wait, rows.values())):
            for (more,) in await self._reader.rows_or_error(waits_query(), [yielding, list(asked)], row=(dict,)):
                rows.get(more["pid"], {}).update(more)
        for backend, watched in asked.items():
            row = rows.get(backend)
            if row is not None and row["state"] == "active" and self.watched.get(backend) is watched:
                self._update(watched, row)

    def _update(self, watched: Watched, row: dict[str, Any]) -> None:
        blockers = blockers_of(row.get("blockers") or (), row.get("prepared_blockers") or ())
        row["blockers"], row["transactions"] = blockers.text, blockers.transactions
        watched.blockers = blockers if blockers.text else watched.blockers
        watched.has_begun = watched.has_begun or any(row.get(view) for view in VIEWS)
        watched.only_waited = row["wait_event_type"] == "Lock" and not watched.has_begun
        now = time.monotonic()
        watched.wait_behind(now, waits=bool(row.get("queued")))
        progress = watched.progress.update(row, now)
        watched.note_wait(now, blockers.text, waits=progress.waits_for is WaitsFor.LOCK)
        if watched.wait_limits is not None:
            watched.wait_limits.observe(progress.waits_for, now)
        watched.report(progress)


async def session_of(reader: Reader, pid: int) -> Blockers:
    """The session with this pid, as a blocker. Raises TargetError."""
    return blockers_of([session for (session,) in await reader.rows(query("session"), [pid], row=(dict,))])


def blockers_of(sessions: Sequence[Mapping[str, Any]], prepared_ones: Sequence[tuple[str, float]] = ()) -> Blockers:
    """`sessions`: rows of the query above. `prepared_ones`: prepared transactions, each by its name as SQL takes it,
    and how many seconds ago that was."""
    words, transactions = [], []
    for session in sessions:
        pid, who, state, does, seconds = (session[name] for name in ("pid", "who", "state", "does", "seconds"))
        lasts = span(seconds) if seconds is not None else ""
        words.append(f"pid {pid} ({', '.join(filter(None, (who, state)))}{f' for {lasts}' if lasts else ''})")
        transactions.append(
            f"pid {pid}, {does or state}" + (f" for {lasts}" if lasts else "") + (f" ({who})" if who else "")
        )
    prepared_texts = [prepared_text(name, seconds) for name, seconds in prepared_ones]
    return Blockers(", ".join(words + prepared_texts), "; ".join(transactions + prepared_texts))


def waits_query() -> str:
    """Asked where a command waits, or may not let others wait."""
    conflicts = " ".join(f"WHEN '{mode}' THEN '{{{','.join(others)}}}'::text[]" for mode, others in OF_MODE.items())
    return query("waits", conflicts=conflicts, wait_of_repack=WAIT_OF_REPACK)


def progress_query(views: list[str]) -> str:
    columns = (
        f", '{view}', (SELECT to_jsonb(p) FROM pg_stat_progress_{view} AS p WHERE p.pid = a.pid)" for view in views
    )
    return query("progress", views="".join(columns))
