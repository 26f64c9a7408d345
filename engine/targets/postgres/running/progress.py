"""How far a command is, from the rows of pg_stat_progress_*: pure. Versions differ in columns, never in a query.

The work is cut into stages that weigh by pages. Of a stage that tells nothing of itself it is assumed that it goes on
as fast as what came before, ever slower towards its end. What is told never goes back, and never reaches the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from engine.jobs import WAITING
from engine.targets.base import StepProgress
from engine.targets.postgres.planning.steps import Model, Subject

Row = Mapping[str, Any]
VIEWS: Final = ("vacuum", "analyze", "cluster", "create_index", "repack")
MOST: Final = 0.995

_ANALYZE: Final = {
    "initializing": 0.1,
    "acquiring sample rows": 8.0,
    "acquiring inherited sample rows": 8.0,
    "computing statistics": 1.5,
    "computing extended statistics": 0.5,
    "finalizing analyze": 0.1,
}
_REINDEX: Final = {
    "initializing": 0.5,
    "waiting for writers before build": 0.5,
    "building index: scanning table": 60.0,
    "building index: sorting live tuples": 8.0,
    "building index: loading tuples in tree": 20.0,
    "building index": 60.0,
    "waiting for writers before validation": 0.5,
    "index validation: scanning index": 4.0,
    "index validation: sorting tuples": 4.0,
    "index validation: scanning table": 4.0,
    "waiting for old snapshots": 0.5,
    "waiting for readers before marking dead": 0.5,
    "waiting for readers before dropping": 0.5,
}


class Progress:
    """How far one step is, told row by row."""

    def __init__(self, model: Model, subject: Subject, *, dead_share: float = 0.1) -> None:
        """`dead_share`: of the rows of the table, how many are dead."""
        self._model = model
        self._subject = subject
        self._stages = _stages(model, subject, dead_share)
        self._stage = ""
        self._began: float | None = None
        self._stage_began = 0.0
        self._done_before = 0.0
        """What was done when the stage began."""
        self._fraction: float | None = None

    def update(self, row: Row, now: float) -> StepProgress:
        """`row`: what the monitor has read; `now`: any clock, in seconds."""
        self._began = now if self._began is None else self._began
        stage, share, phase = self._stage_of(row)
        if stage in self._stages:
            self._enter(stage, now)
            done = self._done(row, stage, self._grown(now) if share is None else share)
            fraction = min(done / sum(self._stages.values()), MOST)
            self._fraction = max(self._fraction or 0.0, fraction)
        if row.get("wait_event_type") == "Lock":
            phase = f"{WAITING}: {row.get('blockers') or 'held by somebody'}"
        return StepProgress(fraction=self._fraction, phase=phase or None)

    def _enter(self, stage: str, now: float) -> None:
        if stage != self._stage:
            self._stage, self._stage_began = stage, now
            self._done_before = (self._fraction or 0.0) * sum(self._stages.values())

    def _grown(self, now: float) -> float:
        """The share of an opaque stage that is likely to be over."""
        before = self._stage_began - (self._began or 0.0)
        if before < 0.3 or not self._done_before:
            return 0.0
        speed = self._done_before / before
        return 0.95 * (1 - math.exp(-1.2 * (now - self._stage_began) * speed / max(self._stages[self._stage], 1e-9)))

    def _stage_of(self, row: Row) -> tuple[str, float | None, str]:
        """The stage, the share of it that is over where that is known, and the phase in words."""
        if self._model is Model.REWRITE and (found := row.get("repack") or row.get("cluster")):
            return self._rewriting(found)
        if self._model is Model.REINDEX and (found := row.get("create_index")):
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
        # Where memory is short it goes from the table to its indexes and back again and again.
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


def _indexing(row: Row) -> tuple[str, float | None, str]:
    phase = str(row["phase"])
    share = _share(row["tuples_done"], row["tuples_total"]) or _share(row["blocks_done"], row["blocks_total"])
    if "sorting" in phase:  # the counts stay where the stage before has left them
        share = None
    if phase.startswith("waiting"):
        lockers = f" ({row['lockers_done']} of {row['lockers_total']})" if row.get("lockers_total") else ""
        return phase, None, phase + lockers
    return phase, share, phase


def _share(done: Any, total: Any) -> float | None:
    return min(float(done) / float(total), 1.0) if total else None


def _stages(model: Model, subject: Subject, dead_share: float) -> dict[str, float]:
    heap, indexes = float(max(subject.table_pages, 1)), float(subject.index_pages)
    match model:
        case Model.VACUUM:
            dirty = min(1.0, dead_share * 8)
            return {
                "initializing": 0.5,
                "scanning heap": heap,
                "vacuuming indexes": indexes * 2 * dirty + 0.5,
                "vacuuming heap": heap * 0.7 * dirty + 0.5,
                "cleaning up indexes": indexes * 0.02 + 1,
                "truncating heap": heap * 0.01 + 1,
                "performing final cleanup": heap * 0.005 + 1,
            }
        case Model.ANALYZE:
            return dict(_ANALYZE)
        case Model.REWRITE:
            each = 6.0 * indexes / max(subject.indexes, 1)
            return {
                "initializing": 0.5,
                "copying": heap * 2,
                "sorting tuples": heap,
                "writing new heap": heap,
                "catch-up": 1.0,
                "swapping relation files": 1.0,
                **{f"index {number}": each + 0.1 for number in range(subject.indexes)},
                "performing final cleanup": 1.0,
            }
        case Model.REINDEX:
            return dict(_REINDEX)
        case Model.NONE:
            return {}
