"""Polls the progress of all running statements, several times a second."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.domain.humanize import span
from engine.domain.steps import WaitsFor
from engine.targets.command_monitor import CommandMonitor, WatchedCommand
from engine.targets.postgres.reading.locks import NO_BLOCKERS, OF_MODE, PREPARED, Blockers, prepared_text
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.running.progress import VIEWS, WAIT_OF_REPACK, Progress, may_wait
from engine.targets.postgres.running.wait_limits import WaitLimits

_SINCE: Final = "coalesce(CASE WHEN starts_with(b.state, 'idle') THEN b.state_change END, b.xact_start, b.state_change)"
# Only the first word of a command is shown, without leading comments.
_DOES: Final = r"""
CASE WHEN b.state = 'active' THEN upper(substring(
    regexp_replace(left(b.query, 2000), '^(\s|\(|--[^\n]*\n|/\*([^*]|\*(?!/))*\*/)+', '') FROM '^[[:alpha:]]{1,20}'))
    ELSE b.state END
"""
_WAITS: Final = f"a.wait_event_type = 'Lock' OR a.wait_event = '{WAIT_OF_REPACK}'"
_SESSION: Final = f"""
jsonb_build_object('pid', b.pid, 'who', concat_ws(', ', nullif(b.application_name, ''), b.usename),
    'state', coalesce(b.state, b.backend_type, 'of another role'), 'does', {_DOES},
    'seconds', extract(epoch FROM clock_timestamp() - {_SINCE}))
"""
_SESSION_OF: Final = f"SELECT {_SESSION} FROM pg_stat_activity AS b WHERE b.pid = %s"
_BLOCKERS: Final = f"""
CASE WHEN {_WAITS} THEN (
    SELECT jsonb_agg({_SESSION})
    FROM pg_stat_activity AS b WHERE b.pid = ANY (pg_blocking_pids(a.pid))) END
"""
_CONFLICTS: Final = " ".join(f"WHEN '{mode}' THEN '{{{','.join(others)}}}'::text[]" for mode, others in OF_MODE.items())
# pg_blocking_pids gives 0 for a prepared transaction; the awaited lock identifies it.
_PREPARED_BLOCKERS: Final = f"""
CASE WHEN ({_WAITS}) AND 0 = ANY (pg_blocking_pids(a.pid)) THEN (
    SELECT jsonb_agg(DISTINCT jsonb_build_array(p.name, p.seconds))
    FROM pg_locks AS w JOIN pg_locks AS l
        ON (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid,
            w.objsubid) IS NOT DISTINCT FROM (l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid,
            l.transactionid, l.classid, l.objid, l.objsubid)
    JOIN ({PREPARED}) AS p ON p.virtualtransaction = l.virtualtransaction
    WHERE w.pid = a.pid AND NOT w.granted AND l.pid IS NULL AND l.granted
        AND l.mode = ANY (CASE w.mode {_CONFLICTS} ELSE '{{AccessExclusiveLock}}' END)) END
"""
# Sessions that wait for us. Costly, so only for steps with --yield-after.
_QUEUED: Final = """
, 'queued', CASE WHEN a.pid = ANY (%s) THEN (SELECT count(*) FROM pg_stat_activity AS w
    WHERE w.wait_event_type = 'Lock' AND a.pid = ANY (pg_blocking_pids(w.pid))) END
"""
# The server takes some milliseconds to plan it.
WAITS: Final = f"""
SELECT jsonb_build_object('pid', a.pid, 'blockers', {_BLOCKERS}, 'prepared_blockers', {_PREPARED_BLOCKERS}{_QUEUED})
FROM pg_stat_activity AS a WHERE a.pid = ANY (%s)
"""
"""Asked where a command waits, or may not let others wait: which sessions it waits for, and how many wait for it."""
AVAILABLE: Final = """
SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relname ~ '^pg_stat_progress_'
"""


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
            names = {name for (name,) in await self._reader.rows_or_error(AVAILABLE, row=(str,))}
            self._query = poll_query([view for view in VIEWS if f"pg_stat_progress_{view}" in names])
        asked = dict(self.watched)
        rows = {row["pid"]: row for (row,) in await self._reader.rows_or_error(self._query, [list(asked)], row=(dict,))}
        yielding = [backend for backend, watched in asked.items() if watched.yield_after is not None]
        if yielding or any(map(may_wait, rows.values())):
            for (more,) in await self._reader.rows_or_error(WAITS, [yielding, list(asked)], row=(dict,)):
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
    return blockers_of([session for (session,) in await reader.rows(_SESSION_OF, [pid], row=(dict,))])


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


def poll_query(views: list[str]) -> str:
    """One row for each backend, whatever columns the views have in this version."""
    columns = "".join(
        f", '{view}', (SELECT to_jsonb(p) FROM pg_stat_progress_{view} AS p WHERE p.pid = a.pid)" for view in views
    )
    return (
        "SELECT jsonb_build_object('pid', a.pid, 'state', a.state, 'wait_event_type', a.wait_event_type,"
        f" 'wait_event', a.wait_event{columns}) FROM pg_stat_activity AS a WHERE a.pid = ANY (%s)"
    )
