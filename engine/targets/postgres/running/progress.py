"""The percent of a command, from the rows of pg_stat_progress_*: pure. Versions differ in columns, never in a query.

The work is cut into stages, weighed by their expected cost. A stage without progress of its own is assumed to run as
fast as the stages before it, ever slower towards its end. The duration of an earlier run counts, too, if it is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from engine.domain.steps import WAITING, WaitsFor
from engine.targets.postgres.planning import costs
from engine.targets.postgres.planning.steps import Model, Subject
from engine.targets.progress import ReportedFraction, approach_end, with_history
from engine.targets.step_execution import StepProgress

Row = Mapping[str, Any]
VIEWS: Final = ("vacuum", "analyze", "cluster", "create_index", "repack")

_OF_TRANSACTIONS: Final = frozenset({"virtualxid", "transactionid"})

WAIT_OF_REPACK: Final = "RepackWorkerExport"
"""The worker of a REPACK that waits for transactions belongs to the session that runs it."""


class Progress:
    """The progress of one step, updated row by row."""

    def __init__(self, model: Model, subject: Subject, *, began: float = 0.0, seconds: float | None = None) -> None:
        """`began`: when the step began, by the clock of `update`. `seconds`: that it took before."""
        self._model = model
        self._subject = subject
        self._began = began
        self._seconds = seconds
        self._stage = ""
        self._stage_began = began
        self._done_before = 0.0
        """The work done when the stage began."""
        self._modelled: float | None = None
        self._fraction = ReportedFraction()

    # Computed late: most steps end before their first poll.
    @cached_property
    def _stages(self) -> dict[str, float]:
        return costs.stages(self._model, self._subject)

    @cached_property
    def _whole(self) -> float:
        return sum(self._stages.values())

    @cached_property
    def _scan(self) -> _Scan:
        return _Scan(costs.reading_share(self._subject), self._began)

    def update(self, row: Row, now: float) -> StepProgress:
        """`row`: what the monitor has read; `now`: any clock, in seconds."""
        stage, share, phase = self._stage_of(row)
        if stage in self._stages:
            self._enter(stage, now)
            if stage == costs.SCANNING and share is not None:
                share = self._scan.share(share, now)
            done = self._done(row, stage, self._assumed_share(now) if share is None else share)
            self._modelled = max(self._modelled or 0.0, done / self._whole)
        waits_for = None
        if row.get("wait_event_type") == "Lock" or _waits_for_writers(row):
            waits_for, phase = _waiting(row)
        else:
            self._fraction.update(with_history(self._modelled, now - self._began, self._seconds))
        return StepProgress(fraction=self._fraction.value, phase=phase or None, waits_for=waits_for)

    @property
    def fraction(self) -> float | None:
        return self._fraction.value

    def _enter(self, stage: str, now: float) -> None:
        if stage != self._stage:
            self._stage, self._stage_began = stage, now
            self._done_before = (self._modelled or 0.0) * self._whole

    def _assumed_share(self, now: float) -> float:
        """The assumed share of a stage that reports no progress."""
        before = self._stage_began - self._began
        if before < 0.3 or not self._done_before:
            return 0.0
        speed = self._done_before / before
        return 0.95 * (1 - math.exp(-1.2 * (now - self._stage_began) * speed / max(self._stages[self._stage], 1e-9)))

    def _stage_of(self, row: Row) -> tuple[str, float | None, str]:
        """The stage, the share of it that is done (None if unknown), and the phase as text."""
        if self._model is Model.REWRITE and (found := row.get("repack") or row.get("cluster")):
            return self._rewriting(found)
        if self._model in {Model.REINDEX, Model.REINDEX_CONCURRENTLY} and (found := row.get("create_index")):
            return _indexing(found)
        if found := row.get("vacuum"):
            return self._vacuuming(found)
        if found := row.get("analyze"):
            return self._analyzing(found)
        return "", None, ""

    def _vacuuming(self, row: Row) -> tuple[str, float | None, str]:
        phase = str(row["phase"])
        shares = {
            "scanning heap": _share(row["heap_blks_scanned"], row["heap_blks_total"]),
            "vacuuming heap": _share(row["heap_blks_vacuumed"], row["heap_blks_total"]),
        }
        share = shares.get(phase)
        if share is None and row.get("indexes_total"):
            share = _share(row["indexes_processed"], row["indexes_total"]) or None
        passes = int(row["index_vacuum_count"])
        return phase, share, phase + (f", pass {passes + 1}" if passes and phase != "performing final cleanup" else "")

    def _analyzing(self, row: Row) -> tuple[str, float | None, str]:
        phase = str(row["phase"])
        share = _share(row["sample_blks_scanned"], row["sample_blks_total"]) if "sample" in phase else None
        children = row.get("child_tables_total")
        if phase == "acquiring inherited sample rows" and children:
            share = (int(row["child_tables_done"]) + (share or 0.0)) / (int(children) + 1)
            phase_text = f"{phase}, partition {min(int(row['child_tables_done']) + 1, int(children))} of {children}"
            return phase, share, phase_text
        return phase, share, phase

    def _rewriting(self, row: Row) -> tuple[str, float | None, str]:
        phase = str(row["phase"])
        if phase == "index scanning heap":  # blocks do not count in the order of an index
            written = row.get("heap_tuples_inserted", row.get("heap_tuples_written")) or 0  # as 19 calls it, and others
            share = min(written / self._subject.rows, 0.97) if self._subject.rows else None
            return "copying", share, "copying rows in the order of the index"
        if phase == "seq scanning heap":
            return "copying", _share(row["heap_blks_scanned"], row["heap_blks_total"]), "copying rows"
        if phase == "rebuilding index":
            number, of = int(row["index_rebuild_count"]), max(self._subject.indexes, 1)
            return f"index {min(number, of - 1)}", None, f"rebuilding index {min(number + 1, of)} of {of}"
        return phase, None, phase

    def _done(self, row: Row, stage: str, share: float) -> float:
        order = list(self._stages)
        vacuum = row.get("vacuum")
        if vacuum is None or order.index(stage) > order.index("vacuuming heap"):
            return sum(self._stages[name] for name in order[: order.index(stage)]) + self._stages[stage] * share
        # Where memory is short, VACUUM goes from the table to its indexes and back several times.
        scanned = _share(vacuum["heap_blks_scanned"], vacuum["heap_blks_total"]) or 0.0
        vacuumed = _share(vacuum["heap_blks_vacuumed"], vacuum["heap_blks_total"]) or 0.0
        passes = int(vacuum["index_vacuum_count"])
        of = max(round(1 / scanned) if scanned and stage != "scanning heap" and not passes else passes, 1)
        indexes = (passes + (share if stage == "vacuuming indexes" else 0.0)) / max(of, passes + 1 if passes else 1)
        return (
            self._stages["scanning heap"] * scanned
            + self._stages["vacuuming indexes"] * min(indexes, 1.0)
            + self._stages["vacuuming heap"] * vacuumed
        )


class PgRepackProgress(Progress):
    """The progress of pg_repack: its client names the phase, and the server says how far an index is."""

    phase = "setup"
    index = 0
    """The number of the index that is built."""

    def _stage_of(self, row: Row) -> tuple[str, float | None, str]:
        if self.phase == "create indexes":
            of = max(self._subject.indexes, 1)
            _, share, _ = _indexing(found) if (found := row.get("create_index")) else ("", None, "")
            return f"index {min(self.index, of - 1)}", share, f"building index {min(self.index + 1, of)} of {of}"
        if self.phase == "copy tuples":
            return self.phase, None, "copying rows"
        return self.phase, None, self.phase


class _Scan:
    """How far the scan of a table for an index is.

    Sometimes reading stops while the rows are sorted. The total time of these pauses follows from the speed of reading
    and from the share of reading in the whole.
    """

    def __init__(self, reading_share: float, began: float) -> None:
        self._reading_share = reading_share
        self._began = self._read_at = began
        self._read = 0.0
        """The share of the table that is read."""
        self._reading_takes = math.inf
        """Seconds for the whole table."""

    def share(self, read: float, now: float) -> float:
        if read > self._read:
            self._reading_takes = min(self._reading_takes, (now - self._read_at) / (read - self._read))
        self._read, self._read_at = max(read, self._read), now
        done = self._read * self._reading_share
        if not self._reading_takes:
            return done
        by_time = approach_end((now - self._began) * self._reading_share / self._reading_takes)
        return min(max(by_time, done), done + 1 - self._reading_share)


def may_wait(row: Row) -> bool:
    """Whether it may wait for other sessions."""
    return row.get("wait_event_type") == "Lock" or row.get("wait_event") == WAIT_OF_REPACK


def _waits_for_writers(row: Row) -> bool:
    """Whether a REPACK waits for transactions that began before it: its worker waits, and the session for that."""
    return row.get("wait_event") == WAIT_OF_REPACK and bool(row.get("transactions"))


def _waiting(row: Row) -> tuple[WaitsFor, str]:
    """What it waits for that the server calls a lock, and the phase in words.

    A wait for other transactions shows as a wait for a lock on their ids. No session queues behind it.
    """
    if row.get("wait_event") not in _OF_TRANSACTIONS and not _waits_for_writers(row):
        return WaitsFor.LOCK, f"{WAITING}: {row.get('blockers') or 'held by another session'}"
    who, index = row.get("transactions") or "another session", row.get("create_index") or {}
    of = "snapshot" if index.get("phase") == "waiting for old snapshots" else "transaction"
    return WaitsFor.TRANSACTIONS, f"waiting for {of} of {who}"


def _indexing(row: Row) -> tuple[str, float | None, str]:
    phase = str(row["phase"])
    share = _share(row["tuples_done"], row["tuples_total"]) or _share(row["blocks_done"], row["blocks_total"])
    if phase == "building index":  # an access method without phases
        return costs.SCANNING, share, phase
    if "sorting" in phase:  # the counts stay where the stage before has left them
        share = None
    if phase.startswith("waiting"):
        lockers = f" ({row['lockers_done']} of {row['lockers_total']})" if row.get("lockers_total") else ""
        return phase, None, phase + lockers
    return phase, share, phase


def _share(done: Any, total: Any) -> float | None:
    return min(float(done) / float(total), 1.0) if total else None
