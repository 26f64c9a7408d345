"""What a command is expected to cost, stage by stage: pure.

In units of about the time in which a page of a table is read that is in memory: `UNIT` on an ordinary machine, measured
with PostgreSQL 18. They weigh steps, and stages within a step, against each other; and estimate a step that has never
run.
"""

from __future__ import annotations

from typing import Final

from engine.domain.requests import Speed
from engine.targets.postgres.planning.steps import Method, Model, PgStep, Subject

SCANNING: Final = "building index: scanning table"
UNIT: Final = 15e-6
"""Seconds of a unit."""
STEP_OVERHEAD: Final = 200.0
"""Costs of each step, whatever it does: its way to the server and back, its locks, its entries in the catalog."""
_SAMPLE: Final = 30_000
"""Rows that ANALYZE looks at, and pages that it reads for that, at the usual statistics target."""


def weight(model: Model, subject: Subject) -> float:
    """The cost of a whole step."""
    return STEP_OVERHEAD + sum(stages(model, subject).values())


def seconds(step: PgStep, speed: Speed) -> float | None:
    """How long a step takes by the sizes of what it works on; None where they do not say.

    Pauses of a gentle VACUUM depend on what it finds, and the time of a check on how many rows a page has.
    """
    pauses = speed is not Speed.FULL and step.method in {Method.VACUUM, Method.STATISTICS}
    return None if step.weight is None or pauses or step.method is Method.CHECK else step.weight * UNIT


def stages(model: Model, subject: Subject) -> dict[str, float]:
    """Costs by phase, with the names and the order of the views pg_stat_progress_*."""
    heap, indexes = float(max(subject.table_pages, 1)), float(subject.index_pages)
    match model:
        case Model.VACUUM:
            return _vacuum(heap, indexes, subject)
        case Model.VACUUM_ANALYZE:
            return {**_vacuum(heap, indexes, subject), **_analyze(heap, subject)}
        case Model.ANALYZE:
            return {"initializing": 0.5, **_analyze(heap, subject)}
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
        case Model.PG_REPACK:
            each = 6.0 * indexes / max(subject.indexes, 1)
            return {
                "setup": 0.5,
                "copy tuples": heap * 3,
                **{f"index {number}": each + 0.1 for number in range(subject.indexes)},
                "swap": 1.0,
                "drop": 1.0,
                "analyze": sum(_analyze(heap, subject).values()),
            }
        case Model.REINDEX:
            return _reindex(heap, subject)
        case Model.REINDEX_CONCURRENTLY:
            return {
                **_reindex(heap, subject),
                "waiting for writers before validation": 0.5,
                "index validation: scanning index": indexes * 0.8,
                "index validation: sorting tuples": subject.rows / 120,
                "index validation: scanning table": heap * 0.7,
                "waiting for old snapshots": 0.5,
                "waiting for readers before marking dead": 0.5,
                "waiting for readers before dropping": 0.5,
            }
        case Model.NONE:
            return {}


def _vacuum(heap: float, indexes: float, subject: Subject) -> dict[str, float]:
    """Pages that everybody sees all of are not looked at; a dead row makes a page of its own dirty, with others."""
    dirty = min(1.0, subject.dead_share * 8)
    scanned_share = min(max(1.0 - subject.visible_share, dirty, 0.02), 1.0)
    return {
        "initializing": 0.5,
        "scanning heap": heap * 1.7 * scanned_share,
        "vacuuming indexes": indexes * 2.1 * dirty + 0.5,
        "vacuuming heap": heap * 1.15 * dirty + 0.5,
        "cleaning up indexes": indexes * 0.02 + 1,
        "truncating heap": heap * 0.01 + 1,
        "performing final cleanup": heap * 0.005 + 1,
    }


def _analyze(heap: float, subject: Subject) -> dict[str, float]:
    return {
        "acquiring sample rows": 0.6 * min(heap, _SAMPLE),
        "acquiring inherited sample rows": 0.2 * _SAMPLE if subject.has_children else 0.0,
        "computing statistics": 0.06 * min(subject.rows, _SAMPLE) + 0.1,
        "computing extended statistics": 0.1,
        "finalizing analyze": 0.1,
    }


def _reindex(heap: float, subject: Subject) -> dict[str, float]:
    sorting = _sorting(subject)
    return {
        "initializing": 0.5,
        "waiting for writers before build": 0.5,
        SCANNING: heap + 0.8 * sorting,
        "building index: sorting live tuples": subject.rows / 140 + 0.1 * sorting,
        "building index: loading tuples in tree": subject.rows / 110 + 0.1 * sorting,
    }


def _sorting(subject: Subject) -> float:
    """Keys that are compared by the rules of a language take many times as long as numbers."""
    return 18.0 * subject.index_pages if subject.sorts_text else 0.0


def reading_share(subject: Subject) -> float:
    """The share of a table scan that is reading; the rest sorts rows to free memory."""
    heap = float(max(subject.table_pages, 1))
    return heap / (heap + 0.8 * _sorting(subject))
